"""Moves of shards in the background: at most one of each shard at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from hubq.node.held.holding import Holding
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell

T = TypeVar("T")


class InMotion:
    """How many shards of a node are being moved, in all its groups."""

    def __init__(self) -> None:
        self.count = 0

    def begins(self) -> None:
        """One more."""
        self.count += 1

    def ends(self) -> None:
        """One less."""
        self.count -= 1


class Moves:
    """The moves under way in one group of a node. When one ends, the plan is looked at again."""

    def __init__(self, background: Background, plan_due: Bell, in_motion: InMotion | None = None) -> None:
        self._background = background
        self._plan_due = plan_due
        self._in_motion = in_motion or InMotion()
        self._moving: dict[int, asyncio.Task[Any]] = {}

    @property
    def moving(self) -> Mapping[int, asyncio.Task[Any]]:
        """The shards that are being moved, wholly or in part."""
        return self._moving

    def limit(self, at_once: int) -> int:
        """How many may be under way in this group, if the node hands over so many at a time: what other groups leave, and one at
        least, since theirs may wait for a primary that is away.

        >>> node = InMotion()
        >>> node.begins(), node.begins(), Moves(Background(), Bell(), node).limit(8)
        (None, None, 6)
        """
        return max(1, at_once - (self._in_motion.count - len(self._moving)))

    def begin(self, holding: Holding, work: Coroutine[Any, Any, T], what: str) -> asyncio.Task[T]:
        """Move a shard, or children of it, in the background. Until that is done, no other move of it begins."""
        holding.begin_motion()
        task: asyncio.Task[T] = self._background.run(work, what)
        self._moving[holding.shard] = task
        self._in_motion.begins()

        def done(_: asyncio.Task[T]) -> None:
            self._moving.pop(holding.shard, None)
            self._in_motion.ends()
            holding.end_motion()
            self._plan_due.ring()

        task.add_done_callback(done)
        return task
