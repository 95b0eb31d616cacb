"""Forwards messages of children to children of other groups (docs/effects.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from hubq.node.held.far_outboxes import FarOutboxes
from hubq.node.held.marked_shards import MarkedShards
from hubq.node.held.register import Register
from hubq.node.mailbox.emptying import Emptying
from hubq.node.runtime.group import Group
from hubq.node.runtime.malformed import MalformedReports
from hubq.node.runtime.neighbours import Neighbours
from hubq.store.command import Command
from hubq.store.far import AHEAD, AT_ONCE, FarMessage, delete_far, far_length, read_far, receive_far
from hubq.store.outbox_page import delete_malformed
from hubq.store.saying import SayingLimits


class FarForwarder:
    """A loop for each other group, so that one whose primary is away holds up no other. Each sleeps while nothing waits. What waits when
    they stop is the next owner's.
    """

    def __init__(
        self, group: Group, register: Register, outboxes: FarOutboxes, neighbours: Neighbours, reports: MalformedReports
    ) -> None:
        self._lanes = [
            Lane(group, register, marks, neighbours, target, reports)
            for target, marks in sorted(outboxes.lanes.items())
        ]

    def start(self) -> None:
        """Begin forwarding."""
        for lane in self._lanes:
            lane.start()

    async def stop(self) -> None:
        """Forward no more."""
        for lane in self._lanes:
            await lane.stop()


class Lane(Emptying):
    """From the shards of one group to the children of another."""

    def __init__(
        self, group: Group, register: Register, marks: MarkedShards, neighbours: Neighbours, target: int,
        reports: MalformedReports,
    ) -> None:  # fmt: skip
        what = f"forwarding messages from group {group.number} to group {target}"
        super().__init__(what, group, register, marks)
        self._neighbours = neighbours
        self._target = target
        self._reports = reports
        self._limits = SayingLimits(group.config.max_backlog, group.config.dead_kept)

    def _length(self, shard: int) -> Command[int]:
        return far_length(self._group.keys, shard, self._target)

    async def _forward(self, shard: int) -> int:
        group, target, moved, after = self._group, self._neighbours.of(self._target), 0, 0
        full: dict[bytes, None] = {}  # children of which a message had to stay: no later one overtakes it
        first: dict[str, int] = {}  # generation -> the first of its numbers that still waits
        while True:
            here, there = group.redis.connection, target.redis.connection
            page = await group.redis.run(read_far(group.keys, shard, self._target, target.shards, after))
            messages, read = list(page.found.values()), len(page.found) + len(page.malformed)
            if page.malformed:
                self._reports.report_all(page.malformed.values())
                await group.redis.run(delete_malformed(group.keys.far_keys(shard, self._target)[0], page))
            if messages and not await group.replicas.have_all_of(here):
                return moved  # what a failover may take back must not arrive elsewhere
            arrived: dict[str, list[int]] = {}
            for generation, run in by_generation(messages):
                some = [each for each in run if each.number - first.get(generation, each.number) <= AHEAD]
                taken = await self._receive(shard, generation, some, full) if some else []
                arrived.setdefault(generation, []).extend(taken)
                stays = [each for each in run if each.number not in taken]
                full |= dict.fromkeys(each.child for each in stays)
                if stays:
                    first.setdefault(generation, stays[0].number)
            left = 1
            if any(arrived.values()):
                if not (await target.replicas.have_all_of(there) and group.redis.connection == here):
                    return moved  # nor may it be forgotten here, and be taken back there: it is forwarded again
                for generation, numbers in arrived.items():
                    if numbers:
                        left = await group.redis.run(delete_far(group.keys, shard, self._target, generation, numbers))
                        moved += len(numbers)
            if read < AT_ONCE or not left:
                return moved
            after = int(page.last.partition("-")[0])

    async def _receive(
        self, shard: int, generation: str, messages: Sequence[FarMessage], full: Iterable[bytes]
    ) -> list[int]:
        """The numbers of those that the other group has taken."""
        target = self._neighbours.of(self._target)
        command = receive_far(target.keys, shard, generation, messages, self._limits, list(full))
        answers = await target.redis.run(command)
        return [each.number for each, taken in zip(messages, answers, strict=True) if taken]


def by_generation(messages: Sequence[FarMessage]) -> Iterator[tuple[str, list[FarMessage]]]:
    """Messages in runs of one generation."""
    for generation, run in groupby(messages, key=lambda each: each.generation):
        yield generation, list(run)
