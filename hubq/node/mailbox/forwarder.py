"""Empties outboxes: messages of children to others whose mailboxes were full go on as there is room (docs/effects.md)."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from hubq.node.held.outboxes import Outboxes
from hubq.node.held.register import Register
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.outbox import AT_ONCE, forward_outbox, outbox_length, read_outbox
from hubq.store.outbox_page import delete_malformed
from hubq.store.saying import SayingLimits

log = logging.getLogger("hubq.node")

#: How soon an outbox is tried again while a mailbox is full, seconds; it doubles up to LONGEST_PAUSE while nothing moves.
PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Forwarder(Loop):
    """One loop for all outboxes of the node. It sleeps while all are empty. What is in an outbox when it stops is the next owner's."""

    def __init__(self, group: Group, register: Register, outboxes: Outboxes, reports: MalformedReports) -> None:
        super().__init__("emptying outboxes")
        self._group = group
        self._register = register
        self._outboxes = outboxes
        self._reports = reports
        self._limits = SayingLimits(group.config.max_backlog, group.config.dead_kept)
        self._waiting: list[int] = []  # shards whose outboxes are not empty
        self._pause = PAUSE

    async def _turn(self) -> None:
        news, moved = await self._outboxes.marked(self._pause if self._waiting else None), 0
        self._waiting += self._outboxes.take()
        try:
            self._waiting = await self._not_empty(self._waiting)
            for shard in self._waiting:
                moved += await self._forward(shard)
        finally:
            self._pause = PAUSE if moved or news else min(self._pause * 2, LONGEST_PAUSE)

    async def _not_empty(self, shards: Iterable[int]) -> list[int]:
        """Those of these shards that are here, and have messages in their outboxes. (The next owner of a shard looks, too.)"""
        group = self._group
        here = [shard for shard in dict.fromkeys(shards) if self._register.of_shard(shard)]
        lengths = await group.redis.run_many([outbox_length(group.keys, shard) for shard in here]) if here else []
        return [shard for shard, length in zip(here, lengths, strict=True) if length]

    async def _forward(self, shard: int) -> int:
        """Once through the outbox of a shard: how many messages were moved on."""
        group, after, moved = self._group, "", 0
        passed_over: tuple[str, ...] = ()
        while True:
            page = await group.redis.run(read_outbox(group.keys, shard, group.shards, after))
            if not page.last:
                return moved
            if page.malformed:
                self._reports.report_all(page.malformed.values())
                await group.redis.run(delete_malformed(group.keys.outbox(shard), page))
            done = await group.redis.run(forward_outbox(group.keys, shard, page.found, self._limits, passed_over))
            moved, passed_over = moved + done.moved, done.passed_over
            if len(page.found) + len(page.malformed) < AT_ONCE or not done.left:
                return moved
            after = page.last
