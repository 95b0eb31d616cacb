"""Ending asyncio tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

#: How long a node that ends waits at first for what it has cancelled, seconds. Until then it tells nobody that it goes.
LETTING_GO = 2.0


async def end_tasks(tasks: Iterable[asyncio.Task[Any] | None], within: float | None = None) -> set[asyncio.Task[Any]]:
    """Cancel tasks until they have ended; those that have not ``within`` so many seconds, for tasks that run users' code.

    Once is not always enough: a cancellation that meets a time-out of the same moment (redis-py wraps every read and
    write in one) can come out as that time-out, which the task then takes for a lost connection and goes on.
    """
    current = asyncio.current_task()
    pending = {task for task in tasks if task is not None and task is not current and not task.done()}
    loop = asyncio.get_running_loop()
    until = None if within is None else loop.time() + within
    while pending and (until is None or loop.time() < until):
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
    return pending
