"""Tells people of what could not be read: a line in the log, an event, a number."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable

from hubq.core.malformed import Malformed
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.group import Group
from hubq.store.malformed import MalformedWatch

log = logging.getLogger("hubq.node")

#: The same thing at the same place is told again after so many seconds. (The owners, for example, are read all the time.)
AGAIN = 600.0
#: How many places are remembered.
PLACES = 1_000


class MalformedReports:
    """Each malformed thing is told once in a while, however often it is read."""

    def __init__(self, group: Group, events: EventLog, counters: Counters, watch: MalformedWatch) -> None:
        self._standing = group.standing
        self._events = events
        self._counters = counters
        self._told: OrderedDict[Malformed, float] = OrderedDict()
        watch.subscribe(self.report)

    def unsealed(self, place: str, why: str) -> None:
        """A seal is refused. Each is counted; it is told of once in a while."""
        self._counters.was_unsealed()
        malformed = Malformed(place, why)
        if self._is_news(malformed):
            log.error("unsealed, and not read: %s: %s", place, why)
            self._events.add("unsealed", place=place, why=why)

    def report(self, malformed: Malformed) -> None:
        """Tell of it, unless it was told a short while ago."""
        if not self._is_news(malformed):
            return
        self._counters.was_malformed()
        log.error("malformed, and passed over: %s: %s", malformed.place, malformed.why)
        self._events.add("malformed", place=malformed.place, why=malformed.why)

    def report_all(self, malformed: Iterable[Malformed]) -> None:
        """Tell of several things."""
        for each in malformed:
            self.report(each)

    def _is_news(self, malformed: Malformed) -> bool:
        now = self._standing.now()
        told = self._told.get(malformed)
        if told is not None and now - told < AGAIN:
            return False
        self._told[malformed] = now
        self._told.move_to_end(malformed)
        if len(self._told) > PLACES:
            self._told.popitem(last=False)
        return True
