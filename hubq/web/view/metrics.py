"""From what the nodes have written down of the last hour to what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import msgspec

from hubq.store.history import EVERY, Point
from hubq.web.view.records import MetricsView, Series
from hubq.web.view.words import duration, number, share, size

#: What is shown, seconds; points of a line that are drawn; lines of a chart.
SHOWN, DRAWN, LINES = 3_600.0, 120, 10
#: The size of a chart, in its own units.
WIDTH, HEIGHT = 600, 100
#: A worker that has written nothing for so long was away, seconds: the line is broken there.
AWAY = 3.5 * EVERY


class Line(msgspec.Struct, frozen=True):
    """A worker in a chart: a polyline for each time in which it was there, and its last value in words."""

    node: str
    parts: list[str]
    last: str


class Chart(msgspec.Struct, frozen=True):
    """A figure over the last hour. ``most``: the greatest value, in words; ``hidden``: workers that are not drawn."""

    name: str
    title: str
    most: str
    lines: list[Line]
    hidden: int
    words: str


def metrics_view(points: Mapping[str, Sequence[Point]], now: float) -> MetricsView:
    """The last hour up to ``now`` (Redis TIME, seconds)."""
    since = now - SHOWN
    series = [series_of(node, [point for point in found if point.at >= since]) for node, found in points.items()]
    return MetricsView(since, now, series)


def series_of(node: str, points: Sequence[Point]) -> Series:
    """A worker over time. A rate needs two points of one life, so the first of each life has none.

    >>> of = lambda at, handled: Point(1, handled, 0, 0, 0.0, 0, 0, 0, 0.0, at)
    >>> series_of("a", [of(0.0, 0), of(10.0, 50), of(20.0, 50)]).messages
    [5.0, 0.0]
    """
    pairs = [
        (before, after)
        for before, after in pairwise(points)
        if before.incarnation == after.incarnation and after.at > before.at
    ]

    def rate(of: Callable[[Point], float]) -> list[float]:
        return [round(max(0.0, of(after) - of(before)) / (after.at - before.at), 3) for before, after in pairs]

    def value(of: Callable[[Point], float]) -> list[float]:
        return [of(after) for _, after in pairs]

    return Series(
        node,
        value(lambda point: point.at),
        rate(lambda point: point.handled),
        rate(lambda point: point.failed),
        rate(lambda point: point.cpu),
        value(lambda point: point.memory),
        value(lambda point: point.children),
        value(lambda point: point.waiting),
        value(lambda point: point.lag),
    )


#: Name of a field of a series, its title, and how a value is written.
CHARTS: tuple[tuple[str, str, Callable[[float | None], str]], ...] = (
    ("messages", "messages/s", number),
    ("failed", "failed/s", number),
    ("waiting", "messages waiting", number),
    ("cpu", "CPU", share),
    ("memory", "memory", lambda value: size(None if value is None else int(value))),
    ("children", "children", number),
    ("lag", "loop lag", duration),
)


def charts(view: MetricsView) -> list[Chart]:
    """What is drawn: of many workers those with the greatest values."""
    return [_chart(view, name, title, written) for name, title, written in CHARTS]


def _chart(view: MetricsView, name: str, title: str, written: Callable[[float | None], str]) -> Chart:
    values: dict[str, list[float]] = {each.node: getattr(each, name) for each in view.series}
    ranked = sorted((each for each in view.series if each.at), key=lambda each: (-max(values[each.node]), each.node))
    shown = sorted(ranked[:LINES], key=lambda each: each.node)
    most = max((max(values[each.node]) for each in shown), default=0.0)
    lines = [
        Line(each.node, _drawn(each.at, values[each.node], view.since, most), written(values[each.node][-1]))
        for each in shown
    ]
    said = ", ".join(f"{line.node} {line.last}" for line in lines) or "nothing written yet"
    return Chart(name, title, written(most), lines, len(ranked) - len(shown), f"{title}, last: {said}")


def _drawn(at: Sequence[float], values: Sequence[float], since: float, most: float) -> list[str]:
    """The points of polylines, at most about ``DRAWN``: of several the greatest value, so that no peak is lost."""
    width = max(SHOWN / DRAWN, EVERY)
    slots: dict[int, float] = {}
    for moment, value in zip(at, values, strict=True):
        slot = int((moment - since) / width)
        slots[slot] = max(slots.get(slot, 0.0), value)
    parts: list[list[str]] = []
    before = None
    for slot, value in slots.items():
        x = (slot + 0.5) * width / SHOWN * WIDTH
        y = HEIGHT - 2 - (value / most * (HEIGHT - 4) if most else 0.0)
        if before is None or (slot - before) * width > max(AWAY, 1.5 * width):
            parts.append([])
        parts[-1].append(f"{x:.0f},{y:.1f}")
        before = slot
    return [" ".join(part) for part in parts]
