"""Tells children that they are passive when their node can no longer be sure that it owns them."""

from __future__ import annotations

import asyncio

from hubq.node.children.signals import Signals
from hubq.node.held.holding import HostedChild
from hubq.node.held.register import Register
from hubq.node.runtime.standing import Standing
from hubq.node.runtime.tasks import end_tasks


class Activity:
    """Watches the trust window of the lease (only where ``on_redundancy_signal`` is asked for)."""

    def __init__(self, standing: Standing, signals: Signals, register: Register) -> None:
        self._standing = standing
        self._signals = signals
        self._register = register
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch."""
        if self._signals.follow_trust:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Watch no more."""
        await end_tasks([self._task])
        self._task = None

    async def _work(self) -> None:
        standing = self._standing
        while True:
            while standing.trusted():  # noqa: ASYNC110  (the wait is for a time, not for an event)
                await asyncio.sleep(standing.lease.trusted_until - standing.now())
            told = self._active()
            await self._signals.announce(told, "passive")
            await standing.until_trusted()
            still = [hosted for hosted in told if hosted.holding.active and not hosted.holding.gone]
            await self._signals.announce(still, "active")

    def _active(self) -> list[HostedChild]:
        return [hosted for hosted in self._register.children() if hosted.holding.active and not hosted.holding.gone]
