"""Writes events, without anybody waiting for it."""

from __future__ import annotations

import asyncio
import logging

from hubq.node.runtime.background import Background
from hubq.node.runtime.group import Group
from hubq.store.command import Command
from hubq.store.events import add_event

log = logging.getLogger("hubq.node")

#: Most events in one pipeline.
AT_ONCE = 200


class EventLog:
    """The events that this node adds to the hub's stream."""

    def __init__(self, group: Group, background: Background) -> None:
        self._group = group
        self._background = background
        self._waiting: list[Command[None]] = []

    def add(self, kind: str, **fields: object) -> None:
        """Write an event soon. An event that Redis does not take within five seconds is dropped, with a warning."""
        group = self._group
        self._waiting.append(add_event(group.keys, group.config.events_kept, kind, {"node": group.node_name, **fields}))
        if len(self._waiting) == 1:
            self._background.run(self._write(), "writing events")

    async def _write(self) -> None:
        # One pipeline for all that has happened at once: thousands of children may stop in the same moment.
        await asyncio.sleep(0)
        while self._waiting:
            some = self._waiting[:AT_ONCE]
            try:
                await self._group.redis.run_many(some, retry_for=5.0)
            except Exception as error:
                log.warning("%d events are not written: %s", len(some), error)
            del self._waiting[: len(some)]
