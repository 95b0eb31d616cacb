"""For simulations: nodes without threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any

from hubq.node.membership.doing import KNOWN, Doing
from hubq.node.membership.lease_task import LeaseTask
from hubq.node.membership.lease_thread import Drive
from hubq.node.wiring import membership
from hubq.testing.patching import replaced


def lease_kept_in(spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> Drive:
    """``Node(drive=...)``: a task that ``spawn`` begins does what the lease thread does elsewhere. It may be a task that goes
    on while the node's own tasks are held back, as a thread does while a handler blocks.
    """
    return partial(LeaseTask, spawn=spawn)


@contextmanager
def stack_of_loop(frames: Callable[[], Iterable[FrameType]]) -> Iterator[None]:
    """Watchdogs take these frames, the outermost first, for the stack of their loop. (The stack of the thread would be that of
    the simulation.)
    """

    def looks() -> Doing:
        for frame in reversed(list(frames())):
            read = KNOWN.get(frame.f_code)
            if read is not None:
                return read(frame.f_locals)
        return Doing(method="something in one go")

    with replaced(membership, "LoopFrames", lambda _: lambda thread_id: looks):
        yield
