"""A loop that empties outboxes: what it does between two looks, whichever outboxes they are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from hubq.node.held.marked_shards import MarkedShards
from hubq.node.held.register import Register
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.store.command import Command

#: How soon it is tried again while a mailbox is full or a primary away, seconds; it doubles up to LONGEST_PAUSE while nothing moves.
PAUSE = 0.05
LONGEST_PAUSE = 1.0


class Emptying(Loop):
    """It sleeps while all outboxes are empty. What is in one when it stops is the next owner's.

    ``marks``: the shards whose outboxes may have something.
    """

    def __init__(self, what: str, group: Group, register: Register, marks: MarkedShards) -> None:
        super().__init__(what)
        self._group = group
        self._register = register
        self._marks = marks
        self._waiting: list[int] = []  # shards whose outboxes are not empty
        self._pause = PAUSE

    async def _turn(self) -> None:
        news, moved = await self._marks.marked(self._pause if self._waiting else None), 0
        self._waiting += self._marks.take()
        try:
            self._waiting = await self._not_empty(self._waiting)
            for shard in self._waiting:
                moved += await self._forward(shard)
        finally:
            self._pause = PAUSE if moved or news else min(self._pause * 2, LONGEST_PAUSE)

    async def _not_empty(self, shards: Iterable[int]) -> list[int]:
        """Those of these shards that are here, and have something in their outboxes. (The next owner of a shard looks, too.)"""
        here = [shard for shard in dict.fromkeys(shards) if self._register.of_shard(shard)]
        lengths = await self._group.redis.run_many([self._length(shard) for shard in here]) if here else []
        return [shard for shard, length in zip(here, lengths, strict=True) if length]

    @abstractmethod
    def _length(self, shard: int) -> Command[int]:
        """How many messages are in the outbox of a shard."""

    @abstractmethod
    async def _forward(self, shard: int) -> int:
        """Once through the outbox of a shard: how many messages were moved on."""
