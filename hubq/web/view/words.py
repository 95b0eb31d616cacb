"""Figures and times as people read them: the filters of the templates."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at: float | None) -> str:
    """A time as ISO 8601 in UTC; the script of the page shows it in the reader's zone.

    >>> moment(0.0), moment(None)
    ('1970-01-01T00:00:00.000Z', '')
    """
    if at is None:
        return ""
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):  # what stands in Redis is input, too
        return ""


def duration(seconds: float | None) -> str:
    """A length of time in two units at most.

    >>> duration(0.0042), duration(7.26), duration(200), duration(90_000), duration(None)
    ('4.2 ms', '7.3 s', '3 min 20 s', '1 d 1 h', '-')
    """
    if seconds is None:
        return "-"
    if seconds < 0:
        return "-" + duration(-seconds)
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = int(seconds)
    for size, unit, below, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // below
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def size(count: int | None) -> str:
    """Bytes.

    >>> size(512), size(2_500_000)
    ('512 B', '2.4 MiB')
    """
    if count is None:
        return "-"
    left, unit = float(count), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if left < 1024:
            break
        left, unit = left / 1024, bigger
    return f"{left:.0f} {unit}" if unit == "B" or left >= 100 else f"{left:.1f} {unit}"


def number(value: float | None) -> str:
    """A figure, with separators.

    >>> number(1234567), number(0.25), number(None)
    ('1,234,567', '0.25', '-')
    """
    if value is None:
        return "-"
    if isinstance(value, int) or value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2g}" if value < 1 else f"{value:.1f}"


def share(value: float | None) -> str:
    """A share of one.

    >>> share(0.123), share(None)
    ('12 %', '-')
    """
    return "-" if value is None else f"{value * 100:.0f} %"


FILTERS = {"moment": moment, "duration": duration, "size": size, "number": number, "share": share}
