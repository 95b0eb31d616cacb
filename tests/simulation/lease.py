"""What the lease thread of a worker sees when it looks at what the loop of its process does."""

from __future__ import annotations

from types import FrameType
from typing import Any

from tests.simulation.loop import Process


def frames_of_block(process: Process | None) -> list[FrameType]:
    """The stack of the task that blocks the loop of a process, read from its coroutines, the outermost first."""
    task = process.blocked if process is not None else None
    work: Any = task.get_coro() if task is not None else None
    found: list[FrameType] = []
    while getattr(work, "cr_frame", None) is not None:
        found.append(work.cr_frame)
        work = work.cr_await
    return found
