"""What the event loop is doing right now, read from its stack by another thread: which child, in which method.

Nothing is written down while handlers run: the frames of hubq's own code, with their locals, say it when somebody asks.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Protocol

from hubq.node.children.builder import Builder
from hubq.node.children.endings import Endings
from hubq.node.children.handler import Handler
from hubq.node.children.lives import Lives
from hubq.node.children.saver import Saver
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.runtime.hook_runner import HookRunner
from hubq.store.tries import Suspect, message_field, start_field

#: Most frames of a stack that are shown.
SHOWN = 30

Locals = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Doing:
    """One look at the loop. ``child`` is empty for code that belongs to no child; ``method`` then describes it.

    ``suspect``: the message or the start that is under way, if this node owns it; ``node``: whose child it is (several
    nodes may share a loop in tests); ``stack``: the frames, for the log.
    """

    child: str = ""
    method: str = ""
    node: str = ""
    suspect: Suspect | None = None
    stack: str = ""

    @property
    def named(self) -> str:
        """For messages to people.

        >>> Doing("room-7", "post").named, Doing(method="hook post_cluster_join").named
        ('room-7.post', 'hook post_cluster_join')
        """
        return f"{self.child}.{self.method}" if self.child else self.method


class Looks(Protocol):
    """Tells what the loop is doing."""

    def __call__(self) -> Doing: ...


class LoopFrames:
    """Reads the stack of the thread in which a loop runs. Call it from another thread."""

    def __init__(self, thread_id: int) -> None:
        self._thread_id = thread_id

    def __call__(self) -> Doing:
        """What that thread is doing."""
        frame = sys._current_frames().get(self._thread_id)
        return doing_in(frame) if frame is not None else Doing(method="nothing: its thread has ended")


def doing_in(innermost: FrameType) -> Doing:
    """What the code of this frame belongs to."""
    frames = list(_outwards(innermost))
    for depth, frame in enumerate(frames):
        read = KNOWN.get(frame.f_code)
        if read is not None:
            stack = _stack(frames[: depth + 1])
            found: Doing = read(frame.f_locals)
            return Doing(found.child, found.method, found.node, found.suspect, stack)
    return Doing(method=_described(frames), stack=_stack(frames))


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _stack(frames: list[FrameType]) -> str:
    """The frames, the innermost last, as in a traceback."""
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in reversed(frames[:SHOWN]))
    return "".join(summary.format()).rstrip()


def _described(frames: list[FrameType]) -> str:
    """Code that none of hubq's frames explains: the outermost function of a user's task, or hubq's own."""
    inside = list(takewhile(lambda frame: not _runs_the_loop(frame), frames))
    users = [frame for frame in inside if not frame.f_code.co_filename.startswith((HUBQ, ASYNCIO))]
    if users:
        code = users[-1].f_code
        return f"a task of its own, in {code.co_qualname} ({Path(code.co_filename).name}:{users[-1].f_lineno})"
    own = [frame for frame in inside if frame.f_code.co_filename.startswith(HUBQ)]
    return f"hubq itself, in {own[0].f_code.co_qualname}" if own else "the event loop itself"


HUBQ = str(Path(__file__).resolve().parents[2])
ASYNCIO = str(Path(asyncio.__file__).parent)
#: The functions of asyncio that run a loop: what is outside of them is no part of a callback.
_RUNNERS = frozenset({"_run", "_run_once", "run_forever", "run_until_complete", "run"})


def _runs_the_loop(frame: FrameType) -> bool:
    return frame.f_code.co_name in _RUNNERS and frame.f_code.co_filename.startswith(ASYNCIO)


# -- the frames that say it ----------------------------------------------------------------------------------------


def _of_child(hosted: HostedChild, method: str, suspect: Suspect | None = None) -> Doing:
    return Doing(hosted.child_id, method, hosted.services.node_name, suspect)


def _suspect(holding: Holding, field: str, entry: str) -> Suspect | None:
    """What counts as having taken the node down; None: its message or its start is another node's."""
    if holding.is_copy:
        return None
    return Suspect(holding.shard, holding.pinned, holding.owner, field, entry)


def _handling(local: Locals) -> Doing:
    hosted, message = local["hosted"], local["in_hand"].message
    suspect = _suspect(hosted.holding, message_field(hosted.child_id), message.entry.decode())
    return _of_child(hosted, message.method or message.kind, suspect)


def _building(local: Locals) -> Doing:
    child, holding = local["child"], local["holding"]
    return Doing(child, "__init__", local["self"].node_name, _suspect(holding, start_field(child), "-"))


def _starting(method: str) -> Callable[[Locals], Doing]:
    def read(local: Locals) -> Doing:
        hosted = local["hosted"]
        return _of_child(hosted, method, _suspect(hosted.holding, start_field(hosted.child_id), "-"))

    return read


def _ending(method: str) -> Callable[[Locals], Doing]:
    return lambda local: _of_child(local["hosted"], method)


def _hook(local: Locals) -> Doing:
    hook = local.get("hook")
    return Doing(method=f"hook {hook.hook_id}" if hook is not None else "a hook", node=local["self"].node)


#: The functions of hubq that call users' code on the loop, and how their locals name it.
KNOWN: dict[CodeType, Callable[[Locals], Doing]] = {
    Handler.handle.__code__: _handling,
    Builder._build.__code__: _building,
    Lives.begin.__code__: _starting("alter_handover_state"),
    Lives._on_start.__code__: _starting("on_start"),
    Lives._run.__code__: _starting("run"),
    Endings._asked_to_stop.__code__: _ending("on_stop"),
    Saver.hand_over.__code__: _ending("prepare_handover_state"),
    HookRunner._call_all.__code__: _hook,
    HookRunner.altered.__code__: _hook,
}
