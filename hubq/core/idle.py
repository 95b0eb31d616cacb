"""Which children of a node go to rest (docs/dormant.md). It decides; ``hubq.node.departures.resting`` does it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from heapq import nsmallest
from typing import Generic, NamedTuple, TypeVar

#: A child that had a message so lately does not go to rest only because the node has too many children, ms. Without this, a node that
#: has more children at work than it may have would do nothing but put them to rest and wake them.
AT_WORK_MS = 1_000
#: A node looks at its children so many times within the shortest time after which one may rest.
LOOKS = 4
#: The shortest and the longest time between two looks, seconds.
SHORTEST_LOOK, LONGEST_LOOK = 0.01, 60.0
#: The same in a node with ``max_active``.
BOUNDED_LOOK = 1.0

C = TypeVar("C", bound=Hashable)


class IdleChild(NamedTuple, Generic[C]):
    """A child that may rest. ``last_ms``: when its last message was sent, Redis TIME. ``rests_after``: seconds; None: it goes only if
    there are too many.
    """

    child: C
    last_ms: float
    rests_after: float | None


def rests_after(idle_after: float | None, expire_after: float | None) -> float | None:
    """After how many seconds without a message a child of a class goes to rest; None: it does not.

    >>> rests_after(60, None), rests_after(60, 3600), rests_after(None, 3600), rests_after(None, None)
    (60, 60, 3600, None)
    """
    return idle_after if idle_after is not None else expire_after


def who_rests(idle: Iterable[IdleChild[C]], now_ms: float, active: int, most: int) -> list[C]:
    """Those whose time has come; and, if more than ``most`` of the ``active`` children of the node would be left (0: no bound), those
    that have been idle for longest.

    >>> idle = [IdleChild("a", 0, 60), IdleChild("b", 5_000, None), IdleChild("c", 9_000, None), IdleChild("d", 59_500, None)]
    >>> who_rests(idle, 60_000, active=9, most=0)
    ['a']
    >>> who_rests(idle, 60_000, active=9, most=7)
    ['a', 'b']
    >>> who_rests(idle, 60_000, active=9, most=1)  # d is at work
    ['a', 'b', 'c']
    """
    due: list[C] = []
    others: list[IdleChild[C]] = []
    for each in idle:
        if each.rests_after is not None and now_ms - each.last_ms >= each.rests_after * 1000:
            due.append(each.child)
        elif now_ms - each.last_ms >= AT_WORK_MS:
            others.append(each)
    too_many = active - len(due) - most if most else 0
    if too_many > 0:
        due += [each.child for each in nsmallest(too_many, others, key=lambda each: each.last_ms)]
    return due


def look_every(shortest: float | None, bounded: bool) -> float | None:
    """How often a node looks at its children, seconds, if ``shortest`` is the shortest time after which one of them may rest
    (``bounded``: the node has ``max_active``); None: never.

    >>> look_every(60, False), look_every(0.001, False), look_every(30 * 86_400, False), look_every(60, True), look_every(None, False)
    (15.0, 0.01, 60.0, 1.0, None)
    """
    every = None if shortest is None else min(max(shortest / LOOKS, SHORTEST_LOOK), LONGEST_LOOK)
    if bounded:
        return BOUNDED_LOOK if every is None else min(every, BOUNDED_LOOK)
    return every
