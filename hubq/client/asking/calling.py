"""Who is calling: the handler of a child, as it is seen by the calls that it makes. Elsewhere nobody is."""

from __future__ import annotations

import time
from contextvars import ContextVar
from typing import Protocol

from hubq.errors import CallCycle
from hubq.store.header import Waiting


class Handling(Protocol):
    """A message that a child has in hand (``hubq.node.held.in_hand``)."""

    @property
    def child_id(self) -> str:
        """The child."""

    @property
    def chain(self) -> tuple[Waiting, ...]:
        """The children that wait for its answer."""

    @property
    def over(self) -> bool:
        """It is done or undone: what its handler has left behind delays nobody."""


_handling: ContextVar[Handling | None] = ContextVar("hubq_handling", default=None)

#: Say whose handler runs in this context, and in the tasks and threads that it begins.
set_handling = _handling.set


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
