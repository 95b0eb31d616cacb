"""Pauses: children of which no message is begun until they are resumed (docs/guide-pause.md)."""

from __future__ import annotations

import asyncio
import logging

from hubq.core.pauses import Pauses
from hubq.node.children.pumps import Pumps
from hubq.node.held.holding import HostedChild
from hubq.node.held.register import Register
from hubq.node.runtime.group import Group
from hubq.store.pauses import read_pauses, read_pauses_number, say_heeded

log = logging.getLogger("hubq.node")

#: Children looked at between two turns of the loop.
AT_ONCE = 2000


class Pausing:
    """Knows the pauses of the hub, and holds the children of this node back accordingly."""

    def __init__(self, group: Group, register: Register, pumps: Pumps) -> None:
        self._group = group
        self._register = register
        self._pumps = pumps
        self._pauses = Pauses()
        self._any = False  # (asked for every child that comes)
        self._heeded = (0, 0)  # by which incarnation, and up to which change
        self._looking = asyncio.Lock()

    def heed(self, hosted: HostedChild) -> None:
        """A child begins here, or has come here: it may be paused."""
        if self._any or hosted.held_back is not None:
            pause = None if hosted.holding.is_copy else self._pauses.of(hosted.child_id, hosted.record.name)
            hosted.pause("" if pause is None else str(pause))

    async def look(self, number: int) -> None:
        """``number`` is that of the last change, as Redis has it: read the pauses if that is news.

        Raises :class:`~hubq.errors.RedisUnavailable`: they are read with the next look.
        """
        if (self._group.standing.incarnation, number) != self._heeded and (number or self._pauses):
            await self.refresh()

    async def refresh(self) -> None:
        """Read the pauses, and heed them. When it returns, no message of a paused child is begun here.

        Raises :class:`~hubq.errors.RedisUnavailable`.
        """
        async with self._looking:
            group, incarnation = self._group, self._group.standing.incarnation
            # (The number first: what is read then is at least as new.)
            number, pauses = await group.redis.run_many([read_pauses_number(group.keys), read_pauses(group.keys)])
            before, self._pauses = self._pauses, Pauses(pauses.values())
            self._any = bool(self._pauses)
            await self._apply()
            if before.all() != self._pauses.all():
                log.info("paused: %s", "; ".join(map(str, self._pauses.all())) or "nothing any more")
            await group.redis.run(say_heeded(group.keys, group.node_name, incarnation, number))
            self._heeded = incarnation, number

    async def _apply(self) -> None:
        for count, hosted in enumerate(list(self._register.children())):
            held = hosted.held_back is not None
            self.heed(hosted)
            if held:
                self._pumps.resume(hosted)
            if count % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
