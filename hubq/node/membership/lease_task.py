"""Drives the rounds in a task, where there can be no thread: in simulated time (``tests/simulation``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from hubq.node.membership.rounds import Rounds
from hubq.node.runtime.tasks import end_tasks
from hubq.store.connection import AsyncRedis, Server


class LeaseTask:
    """Drives the rounds of one node. ``spawn`` runs the task: it need not be in the process whose loop stands still."""

    def __init__(
        self, rounds: Rounds, server: Server, node_name: str,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        connect: Callable[[Server, float], AsyncRedis] = AsyncRedis,
    ) -> None:  # fmt: skip
        self._rounds = rounds
        self._server = server
        self._spawn = spawn
        self._connect = connect
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to make rounds."""
        if self._task is None:
            self._rounds.begin_anew()
            self._task = self._spawn(self._work())

    async def stop(self) -> None:
        """Make no further round."""
        task, self._task = self._task, None
        await end_tasks([task])

    async def _work(self) -> None:
        redis = self._connect(self._server, self._rounds.request_timeout)
        try:
            while True:  # noqa: ASYNC110  (the wait is for a time, not for an event)
                await asyncio.sleep(await self._round(redis))
        finally:
            await redis.close()

    async def _round(self, redis: AsyncRedis) -> float:
        steps = self._rounds.round()
        try:
            request = next(steps)
            while True:
                try:
                    answers = await redis.run_many(request)
                except Exception as error:
                    request = steps.throw(error)
                else:
                    request = steps.send(answers)
        except StopIteration as done:
            pause: float = done.value
            return pause
