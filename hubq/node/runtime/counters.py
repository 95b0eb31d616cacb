"""What a node counts of its own work: plain numbers, read by :mod:`hubq.node.vitals` and the metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

#: Upper bounds of a histogram's buckets, seconds.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Seconds:
    """A histogram of durations.

    >>> pauses = Seconds(); pauses.add(0.003); pauses.add(99.0)
    >>> pauses.count, pauses.total, pauses.buckets[3], pauses.buckets[-1]
    (2, 99.003, 1, 1)
    """

    __slots__ = ("buckets", "total")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)

    def add(self, seconds: float, times: int = 1) -> None:
        """One more (or several of the same length)."""
        self.buckets[bisect_left(BOUNDS, seconds)] += times
        self.total += seconds * times


class Counters:
    """Counted since the node started."""

    __slots__ = (
        "blocked_for",
        "commit_seconds",
        "expired",
        "failures",
        "handler_seconds",
        "leases_lost",
        "loops_blocked",
        "malformed",
        "moved_in",
        "moved_out",
        "pauses",
        "rested",
        "retries",
        "sampled",
        "taken_over",
        "unsealed",
        "woken",
    )

    def __init__(self) -> None:
        self.moved_in = 0  # shards and pins handed over to this node, and by it
        self.moved_out = 0
        self.taken_over = 0  # shards that were claimed, since they had no live owner
        self.leases_lost = 0
        self.failures: Counter[tuple[str, str, str]] = Counter()  # (class, method, why) -> messages that failed
        self.retries: Counter[tuple[str, str]] = Counter()  # (class, method) -> tries after the first
        self.loops_blocked = 0  # times that the event loop stood still for longer than a second
        self.blocked_for = 0.0  # for how long it stands still right now, seconds
        self.malformed = 0  # things that could not be read
        self.unsealed = 0  # seals that were refused
        self.rested = 0  # children that have gone to rest here, were woken here, have expired
        self.woken = 0
        self.expired = 0
        self.pauses = Seconds()  # of each child that came here, from closing there to opening here
        self.commit_seconds = Seconds()
        self.handler_seconds = Seconds()  # counted only in a node that was told to measure
        self.sampled: Counter[str] = Counter()  # child -> messages, in some of the commits since the last account

    def came_in(self, times: int = 1) -> None:
        """Shards or pins were handed over to this node."""
        self.moved_in += times

    def went_out(self, times: int = 1) -> None:
        """Shards or pins were handed over by this node."""
        self.moved_out += times

    def took_over(self) -> None:
        """A shard was claimed, since it had no live owner."""
        self.taken_over += 1

    def lease_lost(self) -> None:
        """Everything here became void."""
        self.leases_lost += 1

    def loop_blocked(self) -> None:
        """The event loop has stood still for a second. (The lease thread calls it.)"""
        self.loops_blocked += 1

    def stands_still(self, seconds: float) -> None:
        """For how long the event loop stands still by now; 0: it turns. (The lease thread calls it.)"""
        self.blocked_for = seconds

    def was_unsealed(self) -> None:
        """A seal was refused."""
        self.unsealed += 1

    def was_malformed(self) -> None:
        """Something could not be read."""
        self.malformed += 1

    def went_to_rest(self) -> None:
        """A child is dormant now."""
        self.rested += 1

    def woke(self) -> None:
        """A dormant child is active again."""
        self.woken += 1

    def have_expired(self, times: int) -> None:
        """So many dormant children have ended, since they had no message for long."""
        self.expired += times

    def paused(self, seconds: float, times: int = 1) -> None:
        """So many children (``times``) came here, each after a pause of so many seconds."""
        self.pauses.add(seconds, times)

    def message_failed(self, class_name: str, method: str, why: str) -> None:
        """A message has failed."""
        self.failures[class_name, method, why] += 1

    def message_retried(self, class_name: str, method: str) -> None:
        """A message has failed, and is tried again."""
        self.retries[class_name, method] += 1

    def sampled_message(self, child: str, times: int) -> None:
        """One of the commits that were sampled holds so many messages of this child."""
        self.sampled[child] += times
