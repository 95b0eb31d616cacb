"""Reminders: when each is due, what may be asked for, and what becomes of ticks that nobody was there for (docs/guide-reminders.md).

Times are Redis TIME in whole ms. The decision of :func:`fire` is made once more in ``lua/_reminders.lua``, where the time is.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hubq.errors import InvalidReminder

#: What becomes of ticks that are late: one message for all of them, one for each, or none.
LATE = ("once", "all", "skip")
#: A tick that fires later than this after its time is late for ``"skip"``, ms. More than a busy node or a quick restart takes.
GRACE_MS = 1_000
#: The shortest time between two ticks, seconds: each is a message, and a commit.
LEAST_EVERY = 0.1
#: The longest time ahead, seconds: a hundred years.
MOST_AHEAD = 100 * 365 * 86_400
#: The longest name, bytes of UTF-8.
MOST_NAME_BYTES = 128
#: A point in time may be this much in the past, ms: clocks differ, and what is said takes a moment.
PAST_MS = 1_000


@dataclass(frozen=True, slots=True)
class Reminder:
    """A reminder that waits. ``due`` is when it fires next, seconds since the epoch (Redis TIME); ``every`` seconds between
    its ticks, None for one that fires once.

    >>> Reminder("room-1", "close", "close", due=1795433912.0).every is None
    True
    """

    child_id: str
    name: str
    method: str
    due: float
    every: float | None = None
    late: str = "once"


#: ``after``, ``at`` and ``every``, as they are given.
Times = tuple[object, object, object]


class Timing(NamedTuple):
    """When a reminder fires: first at ``due_ms``, then every ``every_ms`` (0: never again)."""

    due_ms: int
    every_ms: int = 0


class Fired(NamedTuple):
    """What a reminder that is due brings about: a message or none, and when it is due next (None: it is gone)."""

    sends: bool
    next_ms: int | None


def fire(timing: Timing, late: str, now_ms: int) -> Fired:
    """What becomes of a reminder that is due at ``now_ms``. Its ticks lie on the grid ``due_ms + n * every_ms``, whenever it is
    fired: nothing drifts. With ``late="all"`` one tick is fired at a time.

    >>> fire(Timing(1_000, 60_000), "once", 1_003)
    Fired(sends=True, next_ms=61000)
    >>> fire(Timing(1_000, 60_000), "once", 200_000), fire(Timing(1_000, 60_000), "all", 200_000)
    (Fired(sends=True, next_ms=241000), Fired(sends=True, next_ms=61000))
    >>> fire(Timing(1_000, 60_000), "skip", 200_000), fire(Timing(1_000), "skip", 200_000)
    (Fired(sends=False, next_ms=241000), Fired(sends=False, next_ms=None))
    """
    due, every = timing
    if every == 0:
        return Fired(late != "skip" or now_ms - due <= GRACE_MS, None)
    if late == "all":
        return Fired(True, due + every)
    last = due + (now_ms - due) // every * every
    return Fired(late != "skip" or now_ms - last <= GRACE_MS, last + every)


def checked_name(name: object) -> str:
    """The name of a reminder, or :class:`~hubq.errors.InvalidReminder`.

    >>> checked_name("close")
    'close'
    >>> checked_name("")
    Traceback (most recent call last):
    hubq.errors.InvalidReminder: the name of a reminder is '': give 1 to 128 bytes of printable text
    """
    text = isinstance(name, str) and name.isprintable() and not _has_surrogates(name)
    if text and 0 < len(str(name).encode()) <= MOST_NAME_BYTES:
        return str(name)
    raise InvalidReminder(
        f"the name of a reminder is {_shown(name)}: give 1 to {MOST_NAME_BYTES} bytes of printable text"
    )


def checked_late(late: object) -> str:
    """``"once"``, ``"all"`` or ``"skip"``, or :class:`~hubq.errors.InvalidReminder`."""
    if isinstance(late, str) and late in LATE:
        return late
    raise InvalidReminder(f"late={_shown(late)}: give one of {', '.join(map(repr, LATE))}")


def checked_after(after: object, what: str = "after") -> int:
    """Seconds from now as ms.

    >>> checked_after(30)
    30000
    >>> checked_after(-1)
    Traceback (most recent call last):
    hubq.errors.InvalidReminder: after=-1: give seconds from 0 to 3153600000 (100 years)
    """
    if not isinstance(after, int | float) or isinstance(after, bool) or not 0 <= after <= MOST_AHEAD:  # NaN is not
        raise InvalidReminder(f"{what}={_shown(after)}: give seconds from 0 to {MOST_AHEAD} (100 years)")
    return round(after * 1000)


def checked_at(at: object, what: str = "at") -> int:
    """A point in time as ms: seconds since the epoch, or a datetime that knows its time zone.

    >>> checked_at(1795433912.5)
    1795433912500
    """
    if isinstance(at, datetime):
        if at.tzinfo is None:
            raise InvalidReminder(f"{what}={at!r} has no time zone: give datetime.now(UTC), or seconds since the epoch")
        at = at.timestamp()
    if not isinstance(at, int | float) or isinstance(at, bool) or not 0 < at < 2 * MOST_AHEAD:
        raise InvalidReminder(f"{what}={_shown(at)}: give seconds since the epoch (time.time() + 60), or a datetime")
    return round(at * 1000)


def checked_every(every: object) -> int:
    """Seconds between two ticks as ms.

    >>> checked_every(0.01)
    Traceback (most recent call last):
    hubq.errors.InvalidReminder: every=0.01: give seconds from 0.1 to 3153600000 (100 years)
    """
    number = isinstance(every, int | float) and not isinstance(every, bool)
    if not number or not LEAST_EVERY <= every <= MOST_AHEAD:  # type: ignore[operator]
        raise InvalidReminder(f"every={_shown(every)}: give seconds from {LEAST_EVERY} to {MOST_AHEAD} (100 years)")
    return round(every * 1000)  # type: ignore[operator]


def past(at_ms: int, now_ms: float, what: str = "at") -> InvalidReminder | None:
    """The error for a point in time that has passed; None if it is still to come.

    >>> past(5_000, 1_000), str(past(5_000, 65_000))
    (None, 'at is 60.0 s in the past: give a time to come, or after=0 for at once')
    """
    if at_ms >= now_ms - PAST_MS:
        return None
    return InvalidReminder(
        f"{what} is {(now_ms - at_ms) / 1000:.1f} s in the past: give a time to come, or after=0 for at once"
    )


def timing_of(now_ms: float, after: object, at: object, every: object) -> Timing:
    """When a reminder that is set now fires: ``after`` seconds from now or ``at`` a point in time, then ``every`` so many seconds.
    ``every`` alone: the first time after that long. Raises :class:`~hubq.errors.InvalidReminder`.

    >>> timing_of(1_000, None, None, 60), timing_of(1_000, 5, None, 60)
    (Timing(due_ms=61000, every_ms=60000), Timing(due_ms=6000, every_ms=60000))
    """
    if after is None and at is None and every is None:
        raise InvalidReminder("a reminder without a time: give after=, at= or every=")
    if after is not None and at is not None:
        raise InvalidReminder(f"after={_shown(after)} and at={_shown(at)}: give one of them")
    every_ms = 0 if every is None else checked_every(every)
    if at is not None:
        due_ms = checked_at(at)
        error = past(due_ms, now_ms)
        if error is not None:
            raise error
        return Timing(due_ms, every_ms)
    return Timing(int(now_ms) + (checked_after(after) if after is not None else every_ms), every_ms)


def _has_surrogates(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:40]}..."
