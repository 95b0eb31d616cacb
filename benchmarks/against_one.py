"""What a hub on several primaries costs against the same hub on one: ratios, and what they are to be at most."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from rich.table import Table

from benchmarks.primaries import ONE, SETTINGS

Rounds = Sequence[Mapping[str, float]]

#: What is sent: name of the figures -> what people read.
SENT = {
    "cast": "a cast in a batch",
    "wide": "500 for each primary",
    "call": "a call at 400 per second",
    "row_call": "an idle call, primary after primary",
    "idle_call": "an idle call, to all primaries in turn",
}
#: Those of them that are answered.
CALLS = ("call", "row_call", "idle_call")


@dataclass(frozen=True)
class Goal:
    """``most``: times that of one primary; infinite if it is only for comparison. ``of``: the figure of one primary that it is compared
    with, if it has another name. ``in_parts``: with its part of that, if it were divided evenly. ``bare``: a figure of the bare script;
    the ratio is divided by that of this figure, so what is left is not the machine's.
    """

    text: str
    figure: str
    most: float
    of: str = ""
    in_parts: bool = False
    bare: str = ""

    def ratios(self, rounds: Rounds, one: Rounds, primaries: int) -> list[float]:
        """Of each turn: what slows a turn slows both.

        >>> goal = Goal("busiest", "busiest_us", 1.25, of="redis_us", in_parts=True)
        >>> goal.ratios([{"busiest_us": 3.0}], [{"redis_us": 10.0}], primaries=4)
        [1.2]
        >>> Goal("p50", "p50_ms", 1.1, bare="bare_ms").ratios(
        ...     [{"p50_ms": 3.0, "bare_ms": 0.4}], [{"p50_ms": 2.0, "bare_ms": 0.2}], primaries=4
        ... )
        [0.75]
        """
        parts = primaries if self.in_parts else 1
        pairs = zip(rounds, one, strict=True)
        return [
            found[self.figure]
            * parts
            / other[self.of or self.figure]
            / (found[self.bare] / other[self.bare] if self.bare else 1)
            for found, other in pairs
        ]


def goals() -> list[Goal]:
    """All of them."""
    found = []
    for name, text in SENT.items():
        found += [
            Goal(f"{text}: CPU of Redis in sum", f"{name}_redis_us", 1.15),
            Goal("  of the busiest primary, of its part", f"{name}_busiest_us", 1.25, f"{name}_redis_us", True),
            Goal("  of the client", f"{name}_client_us", 1.2),
            Goal("  of the worker", f"{name}_worker_us", 1.2),
            Goal("  of client and worker together", f"{name}_both_us", 1.2),
        ]
        if name in CALLS:
            found.append(Goal("  p50", f"{name}_p50_ms", 1.1))
    return [
        *found,
        Goal("a bare script at the pace of idle calls: CPU of Redis in sum", "bare_redis_us", inf),
        Goal("  p50", "bare_p50_ms", inf),
        Goal("an idle call ÷ the bare script: CPU of Redis in sum", "idle_call_redis_us", inf, bare="bare_redis_us"),
        Goal("  p50", "idle_call_p50_ms", inf, bare="bare_p50_ms"),
    ]


#: A single Redis with several groups: each figure at most this.
ON_ONE = 1.1


def table(every: Mapping[str, Rounds]) -> Table:
    """Goals down and settings across: the median of the ratios of the turns, then the least and the most. A star: it is missed."""
    made = Table(title=f"primaries: times that of {ONE} (*: more than the goal)")
    others = [name for name in every if name != ONE]
    made.add_column("")
    for heading in ("goal", *others):
        made.add_column(heading, justify="right")
    for goal in goals():
        cells = []
        for name in others:
            primaries = SETTINGS[name].primaries
            ratios = goal.ratios(every[name], every[ONE], primaries)
            middle = statistics.median(ratios)
            most = goal.most if primaries > 1 else ON_ONE
            star = "*" if middle > most and goal.most < inf else ""
            cells.append(f"{middle:.2f}{star} ({min(ratios):.2f}–{max(ratios):.2f})")
        made.add_row(goal.text, f"{goal.most:g}" if goal.most < inf else "", *cells)
    return made
