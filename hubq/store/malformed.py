"""Who is told of what could not be read: a passive object, as the watch over the primary is."""

from __future__ import annotations

from collections.abc import Callable

from hubq.core.malformed import Malformed, Table
from hubq.store.owners import Owners

#: Answers that tell what of them could not be read.
TELLS = (Table, Owners)


class MalformedWatch:
    """Each answer of Redis in which something is malformed is told here.

    >>> watch, told = MalformedWatch(), []
    >>> watch.subscribe(told.append)
    >>> watch.seen(Malformed("field 'x' of hubq:{chat}:owners", "no owner line")); len(told)
    1
    """

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Malformed], None]] = []

    def subscribe(self, told: Callable[[Malformed], None]) -> None:
        """Call this for each malformed thing. It is called again whenever the same thing is read again."""
        self._subscribers.append(told)

    def seen(self, malformed: Malformed) -> None:
        """Something could not be read."""
        for told in self._subscribers:
            told(malformed)
