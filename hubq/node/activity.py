"""Tells children that they are passive when their node can no longer be sure that it owns them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hubq.node.holding import Cell
from hubq.node.tasks import end_tasks

if TYPE_CHECKING:
    from hubq.node.parts import Parts

#: How often a node without trust looks whether it has it again, seconds.
LOOK = 0.02


class Activity:
    """Watches the trust window of the lease (only where ``on_redundancy_signal`` is asked for)."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        if self._parts.supervisor.signals and not self._parts.supervisor.all_active:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Watch no more."""
        await end_tasks([self._task])
        self._task = None

    async def _work(self) -> None:
        parts, lease = self._parts, self._parts.lease
        while True:
            while lease.trusted(now := parts.now()):  # noqa: ASYNC110  (it is the time that is waited for)
                await asyncio.sleep(lease.asked_at + lease.seconds - lease.margin - now)
            told = self._active()
            await parts.supervisor.announce(told, "passive")
            while not lease.trusted(parts.now()):  # noqa: ASYNC110
                await asyncio.sleep(LOOK)
            await parts.supervisor.announce(
                [cell for cell in told if cell.holding.active and not cell.holding.lost], "active"
            )

    def _active(self) -> list[Cell]:
        holdings = [h for h in self._parts.supervisor.holdings.values() if h.active and not h.lost]
        return [cell for holding in holdings for cell in holding.cells.values()]
