"""Lease arithmetic: how long a node may believe in its ownership without hearing from Redis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lease:
    """A lease of ``seconds`` that the holder trusts for ``seconds - margin`` after it *asked* for the last renewal.

    The asking counts, not the answer: Redis starts the lease when the request arrives, so the holder's window
    ends first whatever the delay of the answer. All times are one machine's monotonic seconds.

    >>> lease = Lease(seconds=5.0, margin=1.0)
    >>> lease.renewed(asked_at=100.0)
    >>> lease.trusted(103.9), lease.trusted(104.1), lease.over(104.9), lease.over(105.0)
    (True, False, False, True)
    """

    seconds: float
    margin: float
    asked_at: float = float("-inf")
    trusted_until: float = float("-inf")
    """The end of the trust, kept because it is asked for with every message."""

    def begin(self, asked_at: float) -> None:
        """A new lease, asked for at ``asked_at``, has been granted."""
        self.asked_at = asked_at
        self.trusted_until = asked_at + self.seconds - self.margin

    def renewed(self, asked_at: float) -> None:
        """A renewal that was sent at ``asked_at`` has been granted."""
        self.begin(max(self.asked_at, asked_at))

    def trusted(self, now: float) -> bool:
        """Whether handlers may start and commits may be sent."""
        return now < self.trusted_until

    def left(self, now: float) -> float:
        """Seconds until it may be over (negative: since then)."""
        return self.asked_at + self.seconds - now

    def over(self, now: float) -> bool:
        """Whether others may own everything by now: children must stop."""
        return now >= self.asked_at + self.seconds


@dataclass(slots=True)
class RedisClock:
    """Redis TIME, told from the local monotonic clock. Keeps the estimate with the shortest round trip.

    >>> clock = RedisClock()
    >>> clock.observe(sent=10.0, received=10.002, redis_ms=5_000)
    >>> round(clock.now_ms(11.001))
    6000
    """

    offset_ms: float = 0.0
    round_trip: float = float("inf")

    def observe(self, sent: float, received: float, redis_ms: float) -> None:
        """Take in one answer: local times of sending and receiving (seconds), and Redis TIME (ms)."""
        round_trip = received - sent
        # An old estimate loses weight: clocks drift by parts per million.
        if round_trip <= self.round_trip * 1.02 + 1e-6:
            self.round_trip = round_trip
            self.offset_ms = redis_ms - (sent + received) / 2 * 1000
        else:
            self.round_trip *= 1.01

    def now_ms(self, now: float) -> float:
        """Redis TIME in ms at the local monotonic ``now``."""
        return now * 1000 + self.offset_ms
