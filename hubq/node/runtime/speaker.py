"""Who tells of the event loop of a node: a node in several groups has a watchdog in each, and one loop."""

from __future__ import annotations

import threading

#: The beats of one loop may be so far apart, seconds. Two times of standing still that are told of lie further apart.
APART = 0.5


class Speaker:
    """The watchdogs of a node ask it before they tell of something. They run in threads of their own.

    >>> speaker = Speaker()
    >>> [speaker.is_first("blocked", since) for since in (10.0, 10.2, 14.0, 13.9)], speaker.is_first("stalled", 14.0)
    ([True, False, True, False], True)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def is_first(self, what: str, since: float) -> bool:
        """Whether nobody has asked yet about a loop that has stood still since then, monotonic seconds."""
        with self._lock:
            first = since > self._told.get(what, float("-inf")) + APART
            if first:
                self._told[what] = since
            return first
