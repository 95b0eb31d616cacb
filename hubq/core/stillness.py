"""Whether an event loop stands still, judged by its beats: what is to be said of it, and when it has gone too far."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

#: A loop whose beat is late by more than this stands still, seconds.
BLOCKED_AFTER = 1.0
#: Each further word about it is due after so many times as long.
AGAIN = 2
#: A look that comes later than this, though the time was free, shows that the whole process was held up, seconds.
HELD_UP = 0.5
#: A process that was held up and took this share of a processor was at work: code in C held the interpreter. One that
#: took less was stopped (SIGSTOP, a frozen machine), and its loop had no chance to beat.
AT_WORK = 0.2


class Sight(Enum):
    """What one look has found."""

    TURNS = "turns"
    """The loop turns."""
    BLOCKED = "blocked"
    """It stands still, and it has to be said: for the first time, or again after a longer while."""
    STILL = "still"
    """It still stands still."""
    FREED = "freed"
    """It has turned. It may stand still again since then: look once more."""
    STALLED = "stalled"
    """It has stood still for longer than the limit. Said once."""


@dataclass(slots=True)
class Stillness:
    """Judges the loop of one process. Times are monotonic seconds; ``stall_limit`` 0: never stalled.

    >>> still = Stillness(stall_limit=60.0)
    >>> [still.look(now, beat).value for now, beat in ((10.2, 10.0), (11.3, 10.0), (11.5, 10.0), (12.1, 10.0), (12.4, 12.3))]
    ['turns', 'blocked', 'still', 'blocked', 'freed']
    >>> round(still.lasted, 1)
    2.3
    """

    stall_limit: float
    beat_every: float = 0.25
    since: float | None = None
    """When it turned last; None: it turns."""
    lasted: float = 0.0
    """For how long it has stood still, or stood still the last time."""
    _not_before: float = float("-inf")
    _word_due: float = BLOCKED_AFTER
    _stalled: bool = False

    def look(self, now: float, beat_at: float, held_up: float = 0.0, at_work: float = 0.0) -> Sight:
        """Judge the loop by the time of its last beat.

        ``held_up``: how much later than planned this look comes. ``at_work``: the processor time that the process took
        meanwhile. Time in which the process was stopped does not count, since the loop could not have turned.
        """
        if held_up > HELD_UP and at_work < AT_WORK * held_up:
            self._not_before = now
        turned_at = max(beat_at, self._not_before)
        if self.since is not None and beat_at > self.since:
            self.lasted, self.since = beat_at - self.since, None
            return Sight.FREED
        if self.since is None:
            if now - turned_at < BLOCKED_AFTER + self.beat_every:
                return Sight.TURNS
            self.since, self._word_due, self._stalled = turned_at, BLOCKED_AFTER, False
        self.since = max(self.since, self._not_before)
        self.lasted = now - self.since
        if self.stall_limit and self.lasted > self.stall_limit and not self._stalled:
            self._stalled, self._word_due = True, AGAIN * self.lasted
            return Sight.STALLED
        if self.lasted >= self._word_due:
            while self._word_due <= self.lasted:
                self._word_due *= AGAIN
            return Sight.BLOCKED
        return Sight.STILL
