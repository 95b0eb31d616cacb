"""Ending asyncio tasks for certain, and tasks that users' code tries to end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

#: How long a node that ends waits for the tasks that it has cancelled before it says that it leaves, seconds.
LETTING_GO = 2.0


async def end_tasks(tasks: Iterable[asyncio.Task[Any] | None], within: float | None = None) -> set[asyncio.Task[Any]]:
    """Cancel tasks again and again until they have ended. ``within``: for tasks that run users' code, at most so many
    seconds; the answer is the tasks that have not ended.

    Once is not always enough. redis-py wraps every read and write in a time-out. If a cancellation and such a time-out
    meet in the same moment, the task may see the time-out only, take it for a lost connection, and go on.
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


def torn_down(error: BaseException) -> bool:
    """Whether the event loop has gone from under a coroutine: Python closes it then, and nothing may be awaited any more. (A
    ``GeneratorExit`` that the users' code itself has raised is an error like any other.)
    """
    if not isinstance(error, GeneratorExit):
        return False
    try:
        return asyncio.current_task() is None
    except RuntimeError:
        return True


def leave_task() -> asyncio.Task[Any] | None:
    """Users' code that runs to its end at once finds no current task from here on, until :func:`enter_task`: that of the node is not
    its own to cancel. The answer: the task that was left; None: there was none.

    Two functions, since every child is built between them: a context manager would take as long as all else that builds it.
    """
    loop = asyncio._get_running_loop()
    if loop is None:
        return None
    task = asyncio.current_task(loop)
    if task is not None:
        asyncio.tasks._leave_task(loop, task)
    return task


def enter_task(task: asyncio.Task[Any] | None) -> None:
    """The end of :func:`leave_task`."""
    if task is not None:
        asyncio.tasks._enter_task(task.get_loop(), task)


async def shaken_off(task: asyncio.Task[Any]) -> None:
    """The current task goes on, though the users' code that it has run has cancelled it."""
    while task.cancelling():
        task.uncancel()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)  # a cancellation that nothing has met yet is met here
