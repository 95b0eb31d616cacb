"""Keeps Python's garbage collector from walking over every idle child of a worker.

The collector looks for cycles, and every now and then it looks at everything there is: with 100,000 children that is a
pause of 0.15 s for all of them, every few seconds of work. So what has settled is *frozen*
(:func:`gc.freeze`): the collector passes over it. What leaves is still freed at once, unless it is part of a cycle, as
children that have moved away are: those wait for a *review*, a look at everything, which comes once many have left and
nobody has come or gone for a while (not in the middle of a move), or after ten minutes.

Only ``hubq worker`` does this: a process whose collector is ours.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

#: How often the children are counted, seconds.
EVERY = 1.0
#: Allocations between two collections of what is young: more than one batch of messages makes, so that most are gone.
YOUNG = 20_000
#: So many more children, and so many more in a hundred, are worth freezing.
MORE, MORE_PERCENT = 200, 2
#: Once this part of them has left (in a hundred), those that left are collected.
LEFT_PERCENT = 25
#: So long nobody may have come or gone before that, seconds.
CALM = 10.0
#: The longest time between two reviews, seconds; and the longest pause for which a review is not put off.
REVIEW, LONGEST_PAUSE = 600.0, 0.25


class Heap:
    """Decides when to freeze and when to review; ``look`` is called once a second.

    >>> done = []
    >>> heap = Heap(lambda: done.append("freeze"), lambda: done.append("review") or 0.01)
    >>> heap.look(1000, now=1.0); heap.look(400, now=2.0); heap.look(400, now=3.0); heap.look(400, now=12.0)
    >>> done
    ['freeze', 'review']
    """

    def __init__(self, freeze: Callable[[], None], review: Callable[[], float]) -> None:
        self._freeze, self._review = freeze, review
        self._frozen_at = 0  # children when they were last frozen
        self._before = 0
        self._left = 0  # since the last review
        self._changed = 0.0
        self._reviewed = 0.0
        self._took = 0.0

    def look(self, children: int, now: float) -> None:
        """``children``: how many are here; ``now``: any clock, seconds."""
        self._reviewed = self._reviewed or now
        if children != self._before:
            self._left += max(0, self._before - children)
            self._before, self._changed = children, now
        many_left = self._left > max(MORE, children * LEFT_PERCENT // 100) and now - self._changed >= CALM
        if many_left or (now - self._reviewed > REVIEW and self._took < LONGEST_PAUSE):
            self._took = self._review()
            self._left, self._reviewed, self._frozen_at = 0, now, children
        elif children - self._frozen_at > max(MORE, self._frozen_at * MORE_PERCENT // 100):
            self._freeze()
            self._frozen_at = children


def review() -> float:
    """Collect everything that is garbage, and freeze the rest; how long it took, seconds."""
    began = time.perf_counter()
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    return time.perf_counter() - began


def worker_heap() -> Heap:
    """The heap of this process: what has been imported so far is there to stay."""
    gc.set_threshold(YOUNG, 10, 10)
    review()
    return Heap(gc.freeze, review)
