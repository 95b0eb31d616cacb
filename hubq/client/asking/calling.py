"""Who is at work in this context: the handler of a child, as it is seen by the calls that it makes and by what it logs."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Protocol

from hubq.errors import CallCycle, CallTimeout
from hubq.store.header import Waiting


class Handling(Protocol):
    """A message that a child has in hand (``hubq.node.held.in_hand``)."""

    @property
    def child_id(self) -> str:
        """The child."""

    @property
    def child_class(self) -> str:
        """Its class, as it is registered."""

    @property
    def method(self) -> str:
        """The method that runs."""

    @property
    def message_id(self) -> str:
        """The id of the message; empty if there is none."""

    @property
    def job_id(self) -> str:
        """The job; empty if it is none."""

    @property
    def chain(self) -> tuple[Waiting, ...]:
        """The children that wait for its answer."""

    def time_left(self) -> float | None:
        """Seconds until its caller waits no longer; None if nobody waits for it, or for ever."""

    @property
    def over(self) -> bool:
        """It is done or undone: what its handler has left behind delays nobody."""


@dataclass(frozen=True, slots=True)
class Doing:
    """What is not the handling of a message: ``run()``, ``on_start``, a read, a job. No child waits for it."""

    child_id: str = ""
    child_class: str = ""
    method: str = ""
    message_id: str = ""
    job_id: str = ""
    chain: tuple[Waiting, ...] = ()
    over: bool = True

    def time_left(self) -> None:
        """What is made here may take as long as it wants."""


_handling: ContextVar[Handling | None] = ContextVar("hubq_handling", default=None)

#: Say whose handler runs in this context, and in the tasks and threads that it begins.
set_handling = _handling.set


def handling() -> Handling | None:
    """What runs in this context. It may be over: a task that a handler has left behind is its own still."""
    return _handling.get()


def time_left(timeout: float, what: str) -> float:
    """How long a call that is made here may take, seconds: in a handler, at most as long as the caller of that waits still.

    Raises :class:`~hubq.errors.CallTimeout` if that caller waits no longer. ``what``: the call, for the error.
    """
    handling = _handling.get()
    if handling is None or handling.over:
        return timeout
    left = handling.time_left()
    if left is None or left >= timeout:
        return timeout
    if left <= 0:
        raise CallTimeout(
            f"{what} was not sent: the time of {handling.child_id}.{handling.method}, which makes this call, is over",
            may_run=False,
        )
    return left


def waiting_behind(timeout: float) -> tuple[Waiting, ...]:
    """The children that will wait for a call that is made here, for ``timeout`` seconds at most. Empty outside of handlers."""
    handling = _handling.get()
    if handling is None or handling.over:
        return ()
    now = int(time.time() * 1000)
    still = (waiting for waiting in handling.chain if waiting.until > now)
    return (*still, Waiting(handling.child_id, now + int(timeout * 1000)))


def cycle(chain: tuple[Waiting, ...], child_id: str, method: str) -> CallCycle | None:
    """The error, if this call would come back to a child that waits for it.

    >>> str(cycle((Waiting("a", 1), Waiting("b", 1)), "a", "post"))
    "a -> b -> a.post: child 'a' waits for this call, so it would never be handled: cast it, or make the method a @read"
    """
    names = [waiting.child for waiting in chain]
    if child_id not in names:
        return None
    way = " -> ".join([*names[names.index(child_id) :], f"{child_id}.{method}"])
    return CallCycle(
        f"{way}: child {child_id!r} waits for this call, so it would never be handled: cast it, or make the method a @read"
    )
