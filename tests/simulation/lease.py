"""What the lease thread of a worker sees when it looks at what the loop of its process does."""

from __future__ import annotations

from collections.abc import Coroutine
from types import FrameType
from typing import Any

from hubq.node.membership.doing import KNOWN, Doing
from tests.simulation.loop import Process


class Looks:
    """What the loop of a process is doing: the stack of the task that blocks it, read from its coroutines."""

    def __init__(self, process: Process | None) -> None:
        self._process = process

    def __call__(self) -> Doing:
        """The child and the method, if it is one."""
        task = self._process.blocked if self._process is not None else None
        for frame in reversed(_frames(task.get_coro() if task is not None else None)):
            read = KNOWN.get(frame.f_code)
            if read is not None:
                return read(frame.f_locals)
        return Doing(method="something in one go")


def _frames(work: Coroutine[Any, Any, Any] | Any) -> list[FrameType]:
    """The frames of a coroutine and of those that it awaits, the outermost first."""
    found: list[FrameType] = []
    while getattr(work, "cr_frame", None) is not None:
        found.append(work.cr_frame)
        work = work.cr_await
    return found
