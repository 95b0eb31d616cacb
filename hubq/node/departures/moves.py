"""Moves of shards in the background: at most one of each shard at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from hubq.node.held.holding import Holding
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell

T = TypeVar("T")


class Moves:
    """The moves under way on a node. When one ends, the plan is looked at again."""

    def __init__(self, background: Background, plan_due: Bell) -> None:
        self._background = background
        self._plan_due = plan_due
        self._moving: dict[int, asyncio.Task[Any]] = {}

    @property
    def moving(self) -> Mapping[int, asyncio.Task[Any]]:
        """The shards that are being moved, wholly or in part."""
        return self._moving

    def begin(self, holding: Holding, work: Coroutine[Any, Any, T], what: str) -> asyncio.Task[T]:
        """Move a shard, or children of it, in the background. Until that is done, no other move of it begins."""
        holding.begin_motion()
        task: asyncio.Task[T] = self._background.run(work, what)
        self._moving[holding.shard] = task

        def done(_: asyncio.Task[T]) -> None:
            self._moving.pop(holding.shard, None)
            holding.end_motion()
            self._plan_due.ring()

        task.add_done_callback(done)
        return task
