"""Empties outboxes: messages of children to others whose mailboxes were full go on as there is room (docs/effects.md)."""

from __future__ import annotations

from hubq.node.held.outboxes import Outboxes
from hubq.node.held.register import Register
from hubq.node.mailbox.emptying import Emptying
from hubq.node.runtime.group import Group
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.command import Command
from hubq.store.outbox import AT_ONCE, forward_outbox, outbox_length, read_outbox
from hubq.store.outbox_page import delete_malformed
from hubq.store.saying import SayingLimits


class Forwarder(Emptying):
    """One loop for all outboxes of the node."""

    def __init__(self, group: Group, register: Register, outboxes: Outboxes, reports: MalformedReports) -> None:
        super().__init__("emptying outboxes", group, register, outboxes)
        self._reports = reports
        self._limits = SayingLimits(group.config.max_backlog, group.config.dead_kept)

    def _length(self, shard: int) -> Command[int]:
        return outbox_length(self._group.keys, shard)

    async def _forward(self, shard: int) -> int:
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
