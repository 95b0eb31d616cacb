"""Work beside the loops of a node: what it raises is logged, and it ends with the node."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from hubq.errors import RedisUnavailable
from hubq.node.runtime.tasks import LETTING_GO, end_tasks, torn_down

log = logging.getLogger("hubq.node")


class Background:
    """The background tasks of a node. No part has to wait for them."""

    def __init__(self) -> None:
        self.ended = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def run(self, work: Awaitable[Any], what: str) -> asyncio.Task[Any]:
        """Begin ``work`` as a task named ``what``; an exception is logged, and the task's result is None then."""

        async def guarded() -> Any:
            try:
                return await work
            except asyncio.CancelledError:
                raise
            except RedisUnavailable as error:
                log.warning("%s failed: %s", what, error)
            except BaseException as error:  # a SystemExit of users' code would end the event loop
                if torn_down(error):
                    raise
                log.exception("%s failed", what)

        task = asyncio.get_running_loop().create_task(guarded(), name=what)
        self._tasks.add(task)

        def done(_: asyncio.Task[Any]) -> None:
            self._tasks.discard(task)
            if asyncio.iscoroutine(work):
                work.close()  # the task may have been cancelled before its first step

        task.add_done_callback(done)
        return task

    async def idle(self) -> None:
        """Wait until nothing goes on."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Cancel all tasks. What is cancelled from now on is cancelled by the node (``ended``). The node does not wait for a
        child's code that goes on all the same.
        """
        self.ended = True
        left = await end_tasks(list(self._tasks), LETTING_GO)
        for task in left:
            log.warning("%s goes on though it was cancelled: let CancelledError through", task.get_name())
        self._tasks -= left
