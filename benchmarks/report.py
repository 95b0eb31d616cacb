"""The table and the file of results."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).with_name("results.json")

#: name of a figure -> what people read
MESSAGES = {
    "casts_per_s": "casts end to end, per second",
    "call_p50_ms": "call, idle, p50 (ms)",
    "call_p99_ms": "call, idle, p99 (ms)",
}
STARTS = {"starts_per_s": "start_children of 5,000, per second"}
MIGRATION = {
    "rate_steady": "calls per second before the move",
    "steady_call_p50_ms": "call under that load, p50 (ms)",
    "steady_call_p99_ms": "call under that load, p99 (ms)",
    **{
        f"{what}_{name}": f"{what}: {text}"
        for what in ("join", "drain")
        for name, text in {
            "children": "children moved",
            "seconds": "seconds",
            "children_per_s": "children per second",
            "pause_p50_ms": "pause of a child, p50 (ms)",
            "pause_p99_ms": "pause of a child, p99 (ms)",
            "pause_max_ms": "pause of a child, max (ms)",
            "call_p99_ms": "calls meanwhile, p99 (ms)",
        }.items()
    },
    "drain_exit_seconds": "drain: seconds until the process has ended",
    "calls": "calls in all",
    "failed_calls": "failed calls",
    "wrong_states": "children with a wrong state",
}

Rounds = dict[str, list[dict[str, Any]]]


def number(value: float) -> str:
    """Short, for people.

    >>> number(12345.6), number(3.14159), number(0)
    ('12,346', '3.14', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def spread(values: list[float]) -> str:
    """Median, and the least and the most."""
    return f"{number(statistics.median(values))}  ({number(min(values))} – {number(max(values))})"


def column(rounds: list[dict[str, Any]], name: str) -> list[float]:
    """One figure of all rounds."""
    return [float(found[name]) for found in rounds]


def table(rounds: Rounds, title: str) -> Table:
    """Medians, spread and ratios."""
    made = Table(title=title)
    made.add_column("")
    for heading in ("hubq", "bare loop", "hubq / bare"):
        made.add_column(heading, justify="right")
    for name, text in MESSAGES.items():
        ours, bare = column(rounds["hubq"], name), column(rounds["bare"], name)
        made.add_row(text, spread(ours), spread(bare), f"{statistics.median(ours) / statistics.median(bare):.2f}")
    for part, names in (("starts", STARTS), ("migration", MIGRATION)):
        made.add_section()
        for name, text in names.items():
            made.add_row(text, spread(column(rounds[part], name)), "", "")
    return made


def show(rounds: Rounds, machine: dict[str, str], seconds: float) -> None:
    """Print the table and write ``results.json``."""
    title = ", ".join(machine.values()) + ": median (least – most) of " + f"{len(rounds['hubq'])} rounds"
    Console(width=110).print(table(rounds, title))
    RESULTS.write_text(json.dumps({"machine": machine, "seconds": round(seconds, 1), "rounds": rounds}, indent=1))
    print(f"{seconds:.0f} s; every figure of every round is in {RESULTS}")
