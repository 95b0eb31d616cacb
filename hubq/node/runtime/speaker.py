"""What the watchdogs of a node know together: a node in several groups has a watchdog in each, and one loop."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from hubq.store.tries import Suspect

#: The beats of one loop may be so far apart, seconds. Two times of standing still that are told of lie further apart.
APART = 0.5


@dataclass(frozen=True, slots=True)
class Stall:
    """The process is about to end, since its loop has stood still for too long: since when, seen when (monotonic seconds), and in what.
    ``told``: the watchdogs that have given up what the node has in their groups.
    """

    since: float
    at: float
    suspect: Suspect | None
    told: set[object] = field(default_factory=set)


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
        self._watchdogs: set[object] = set()
        self._stall: Stall | None = None
        self._ended = float("-inf")  # since when the loop stood still that had the process end last

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

    # -- the end of the process ------------------------------------------------------------------------------------

    def begins(self, watchdog: object) -> None:
        """This watchdog looks at the loop from now on: the process does not end before it has told of the stall, too."""
        with self._lock:
            self._watchdogs.add(watchdog)

    def stalls(self, since: float, at: float, suspect: Suspect | None) -> None:
        """A watchdog has seen that the process must end, since its loop has stood still since then. (If another one has seen it before,
        that one's suspect counts.)
        """
        with self._lock:
            if (
                self._stall is None and since > self._ended + APART
            ):  # else all was given up already, and the process stays
                self._stall = Stall(since, at, suspect)

    @property
    def stall(self) -> Stall | None:
        """Why the process is about to end; None (nearly always): it is not."""
        return self._stall

    def may_end(self, stall: Stall, watchdog: object, overdue: bool) -> bool:
        """This watchdog has given up all of its group. True, for one of them: all others have done so, or are not waited for any more
        (``overdue``).
        """
        with self._lock:
            stall.told.add(watchdog)
            if self._stall is not stall or not (overdue or self._watchdogs <= stall.told):
                return False
            self._stall, self._ended = None, stall.since
            return True
