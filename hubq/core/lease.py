"""Lease arithmetic: how long a node may believe in its ownership without hearing from Redis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


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

    def distrust(self) -> None:
        """Nothing starts and nothing is sent under this lease any more, whatever time it is."""
        self.trusted_until = float("-inf")


def renewed_every(heartbeat: float, seconds: float, margin: float, groups: int) -> float:
    """How long a node waits from one renewal of its lease in a group to the next, seconds.

    A node has a lease in each group of its hub. So that those of many groups do not cost many times what one costs, each is renewed less
    often; but four times while a lease that is not renewed may be trusted, and never more often than every ``heartbeat``.

    >>> [renewed_every(0.25, 5.0, 1.0, groups) for groups in (1, 2, 4, 16)]
    [0.25, 0.5, 1.0, 1.0]
    """
    return max(heartbeat, min(heartbeat * groups, (seconds - margin) / 4))


class Grant(Enum):
    """What a renewal that Redis has granted is worth."""

    OVER = "over"
    """Nothing: the lease was over before the answer was here. It stays over."""
    TRUSTED = "trusted"
    """The lease goes on."""
    TRUSTED_AGAIN = "trusted again"
    """The lease goes on, and there was a moment in which it was not trusted."""


@dataclass(slots=True)
class Term:
    """One incarnation as a member: its lease, and what Redis has confirmed of it.

    The lease thread writes it while the event loop reads it, without a lock: a new incarnation has a new term, so that
    an answer that comes late changes nothing of the next one.

    >>> term = Term(7, Lease(seconds=5.0, margin=1.0), epoch=7)
    >>> term.lease.begin(asked_at=100.0)
    >>> term.renewed(102.0, 1_000, lambda: 102.1), term.renewed(106.2, 2_000, lambda: 106.3)
    (<Grant.TRUSTED: 'trusted'>, <Grant.TRUSTED_AGAIN: 'trusted again'>)
    >>> term.renewed(111.0, 3_000, lambda: 111.3), term.lease.trusted(111.4)
    (<Grant.OVER: 'over'>, False)
    """

    incarnation: int
    lease: Lease
    epoch: int = 0
    """The highest membership epoch known."""
    granted_ms: int = 0
    """The end of the lease as Redis granted it last, ms of Redis TIME."""
    void: bool = False
    """Nothing of this incarnation counts any more."""

    def seen(self, epoch: int) -> None:
        """The membership has this epoch at least."""
        self.epoch = max(self.epoch, epoch)

    def end(self) -> None:
        """The node is no member under this incarnation any more."""
        self.void = True

    def renewed(self, asked_at: float, granted_ms: int, now: Callable[[], float]) -> Grant:
        """Redis has granted what was asked for at ``asked_at``.

        Time is looked at after each write. The other thread may have found the lease over, or not trusted, in the moment
        before: who acted on an end must never see the lease trusted again, and who waits for trust must hear of it.
        """
        lease = self.lease
        before, end, until = lease.asked_at, lease.asked_at + lease.seconds, lease.trusted_until
        if now() >= end:
            return Grant.OVER
        lease.asked_at = max(before, asked_at)
        if now() >= end:
            lease.asked_at = before
            lease.distrust()
            return Grant.OVER
        self.granted_ms = granted_ms
        lease.trusted_until = lease.asked_at + lease.seconds - lease.margin
        return Grant.TRUSTED_AGAIN if now() >= until else Grant.TRUSTED


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
