"""Tells children that they are passive when their node can no longer be sure that it owns them."""

from __future__ import annotations

import asyncio

from hubq.node.children.signals import Signals
from hubq.node.held.holding import HostedChild
from hubq.node.held.register import Register
from hubq.node.runtime.loop import Loop
from hubq.node.runtime.standing import Standing


class Activity(Loop):
    """Watches the trust window of the lease (only where ``on_redundancy_signal`` is asked for)."""

    def __init__(self, standing: Standing, signals: Signals, register: Register) -> None:
        super().__init__("telling of a lease that is not trusted")
        self._standing = standing
        self._signals = signals
        self._register = register

    def start(self) -> None:
        """Begin to watch."""
        if self._signals.follow_trust:
            super().start()

    async def _turn(self) -> None:
        standing = self._standing
        while standing.trusted():  # noqa: ASYNC110  (the wait is for a time, not for an event)
            await asyncio.sleep(standing.lease.trusted_until - standing.now())
        told = self._active()
        await self._signals.announce(told, "passive")
        await standing.until_trusted()
        still = [hosted for hosted in told if hosted.holding.active and not hosted.holding.gone]
        await self._signals.announce(still, "active")

    def _active(self) -> list[HostedChild]:
        return [hosted for hosted in self._register.children() if hosted.holding.active and not hosted.holding.gone]
