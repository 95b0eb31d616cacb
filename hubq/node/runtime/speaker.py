"""What the watchdogs of a node know together: a node in several groups has a watchdog in each, and one loop."""

from __future__ import annotations

import threading

from hubq.store.tries import Suspect

#: The beats of one loop may be so far apart, seconds. Two times of standing still that are told of lie further apart.
APART = 0.5


class Speaker:
    """The watchdogs of a node ask it before they tell of something, and tell it what has held the whole process. They run in threads of
    their own. When the process lets go, one of them looks first, and the loop may go on before the next one does.

    >>> speaker = Speaker()
    >>> [speaker.is_first("blocked", since) for since in (10.0, 10.2, 14.0, 13.9)], speaker.is_first("stalled", 14.0)
    ([True, False, True, False], True)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}
        self._held: tuple[float, Suspect] | None = None

    def is_first(self, what: str, since: float) -> bool:
        """Whether nobody has asked yet about a loop that has stood still since then, monotonic seconds."""
        with self._lock:
            first = since > self._told.get(what, float("-inf")) + APART
            if first:
                self._told[what] = since
            return first

    def held(self, at: float, suspect: Suspect) -> None:
        """A watchdog has seen at this time, monotonic seconds, what has held the process."""
        with self._lock:
            self._held = at, suspect

    def held_since(self, at: float) -> Suspect | None:
        """What has held the process, if a watchdog has seen it since then."""
        with self._lock:
            return self._held[1] if self._held is not None and self._held[0] >= at else None
