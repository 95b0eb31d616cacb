"""Ending asyncio tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def end_tasks(tasks: Iterable[asyncio.Task[Any] | None]) -> None:
    """Cancel tasks until they have ended.

    Once is not always enough: a cancellation that meets a time-out of the same moment (redis-py wraps every read and
    write in one) can come out as that time-out, which the task then takes for a lost connection and goes on.
    """
    current = asyncio.current_task()
    pending = {task for task in tasks if task is not None and task is not current and not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
