"""The tables, the chart and the file of results."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import against_one, chart
from benchmarks.environments import PEERS

ROOT = Path(__file__).resolve().parent
RESULTS = ROOT / "results.json"
CHART = ROOT.parent / "docs" / "benchmarks.svg"

#: part -> name of a figure -> what people read
FIGURES: dict[str, dict[str, str]] = {
    "messages": {
        "casts_per_s": "casts end to end, per second",
        "cast_both_us": "CPU of client and worker per cast (µs)",
        "cast_redis_us": "CPU of Redis per cast (µs)",
        "call_p50_ms": "call, idle, p50 (ms)",
        "call_p99_ms": "call, idle, p99 (ms)",
        "call_p999_ms": "call, idle, p99.9 (ms)",
        "waiting_call_p50_ms": "waiting call, idle, p50 (ms)",
        "call_both_us": "CPU of client and worker per idle call (µs)",
        "call_redis_us": "CPU of Redis per idle call (µs)",
        "busy_casts_per_s": "half load: casts per second",
        "busy_call_p50_ms": "call, half load, p50 (ms)",
        "busy_call_p99_ms": "call, half load, p99 (ms)",
        "busy_call_p999_ms": "call, half load, p99.9 (ms)",
    },
    "casts": {
        "casts_per_s": "casts per second",
        "client_us": "CPU of the client per cast (µs)",
        "workers_us": "of the workers (µs)",
        "redis_us": "of Redis (µs)",
    },
    "starts": {"starts_per_s": "start_children, per second"},
    "migration": {
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
    },
    "take-over": {
        "lost": "children of the killed worker",
        "first_ms": "first answer after the lease (ms)",
        "last_ms": "last answer (ms)",
    },
    "memory": {
        "started_per_s": "children started per second",
        "node_bytes_per_child": "bytes per idle child in the node",
        "redis_bytes_per_child": "bytes per child in Redis",
        "call_p50_ms": "call among them, p50 (ms)",
        "call_p99_ms": "call among them, p99 (ms)",
        "idle_cpu_percent": "idle CPU of the node (%)",
    },
    "growth": {
        "casts_per_s": "casts per second",
        "workers_us": "CPU of the workers per cast (µs)",
        "redis_us": "CPU of Redis per cast (µs)",
    },
    "primaries": {
        "casts_per_s": "casts in batches, per second",
        "cast_redis_us": "CPU of all primaries per cast (µs)",
        "cast_busiest_us": "of the busiest primary (µs)",
        "cast_client_us": "of the client (µs)",
        "cast_worker_us": "of the worker (µs)",
        "wide_redis_us": "500 for each primary: CPU of all primaries (µs)",
        "wide_busiest_us": "of the busiest primary (µs)",
        "wide_client_us": "of the client (µs)",
        "wide_worker_us": "of the worker (µs)",
        "call_redis_us": "CPU of all primaries per call, 400 per second (µs)",
        "call_busiest_us": "of the busiest primary (µs)",
        "call_client_us": "of the client (µs)",
        "call_worker_us": "of the worker (µs)",
        "call_p50_ms": "call, 400 per second, p50 (ms)",
        "row_call_redis_us": "CPU of all primaries per idle call, primary after primary (µs)",
        "row_call_busiest_us": "of the busiest primary (µs)",
        "row_call_client_us": "of the client (µs)",
        "row_call_worker_us": "of the worker (µs)",
        "row_call_p50_ms": "call, idle, primary after primary, p50 (ms)",
        "idle_call_redis_us": "CPU of all primaries per idle call (µs)",
        "idle_call_busiest_us": "of the busiest primary (µs)",
        "idle_call_client_us": "of the client (µs)",
        "idle_call_worker_us": "of the worker (µs)",
        "idle_call_p50_ms": "call, idle, p50 (ms)",
        "idle_call_p99_ms": "call, idle, p99 (ms)",
        "bare_redis_us": "CPU of all primaries per bare script, at the pace of idle calls (µs)",
        "bare_p50_ms": "bare script, p50 (ms)",
        "rest_redis_percent": "all primaries at rest (% of a core)",
        "rest_worker_percent": "the worker at rest (% of a core)",
    },
    "peers": {
        "enqueue_per_s": "enqueued one by one, per second",
        "handled_per_s": "handled by one worker, per second",
        "p50_ms": "round trip, idle, p50 (ms)",
        "p99_ms": "round trip, idle, p99 (ms)",
    },
}

#: part -> whose figures -> a figure of each round
Found = dict[str, dict[str, list[dict[str, Any]]]]


def number(value: float) -> str:
    """Short, for people.

    >>> number(12345.6), number(3.14159), number(0)
    ('12,346', '3.14', '0')
    """
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def column(rounds: list[dict[str, Any]], name: str) -> list[float]:
    """One figure of all rounds."""
    return [float(found[name]) for found in rounds if name in found]


def spread(values: list[float]) -> str:
    """Median, and the least and the most if there were several rounds."""
    if len(values) < 2:
        return number(values[0]) if values else "-"
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def median(found: Found, part: str, whose: str, name: str) -> float:
    """The median of a figure."""
    return statistics.median(column(found[part][whose], name))


def ratio(ours: list[dict[str, Any]], others: list[dict[str, Any]], name: str) -> str:
    """The median of the ratios of the rounds: what slows a round slows both."""
    pairs = zip(column(ours, name), column(others, name), strict=False)
    found = [one / other for one, other in pairs if other]
    return f"{statistics.median(found):.2f}" if found else "-"


def table(part: str, every: dict[str, list[dict[str, Any]]]) -> Table:
    """A part: figures down and systems across, or the other way round where there are many systems."""
    made = Table(title=part)
    names = FIGURES[part]
    if len(every) > 2 and len(names) < 8:
        for heading in ("", *names.values()):
            made.add_column(heading, justify="right" if heading else "left")
        for whose, rounds in every.items():
            made.add_row(whose, *(spread(column(rounds, name)) for name in names))
        return made
    others = [whose for whose in every if part == "messages" and whose != "hubq"] if "hubq" in every else []
    for heading in ("", *every, *(f"hubq / {whose}" for whose in others)):
        made.add_column(heading, justify="right" if heading else "left")
    for name, text in names.items():
        cells = [spread(column(rounds, name)) for rounds in every.values()]
        made.add_row(text, *cells, *(ratio(every["hubq"], every[whose], name) for whose in others))
    return made


def show(
    found: Found,
    machine: dict[str, str],
    versions: dict[str, str],
    missing: dict[str, str],
    late: list[str],
    rounds: int,
    seconds: float,
    results: Path,
) -> None:
    """Print the tables; write ``results.json``, and the chart if peers were measured."""
    console = Console(width=120)
    console.print(f"{', '.join(machine.values())}; median (least–most) of {rounds} rounds")
    for part, every in found.items():
        console.print(table(part, every))
        if part == "primaries":
            console.print(against_one.table(every))
    settings = {peer.name: f"{versions[peer.name]}: {peer.setting}" for peer in PEERS if peer.name in versions}
    for text in (*settings.values(), *(f"{name} does not install: {reason}" for name, reason in missing.items())):
        console.print(text, highlight=False)
    written = {
        "machine": machine, "seconds": round(seconds, 1), "peers": settings, "missing": missing, "late": late,
        "rounds": found,
    }  # fmt: skip
    results.write_text(json.dumps(written, indent=1))
    if "peers" in found and "hubq" in found.get("messages", {}):
        draw(found)
    for what in late:
        print(f"not measured: {what}")
    print(f"{seconds:.0f} s; every figure of every round is in {results}")


def draw(found: Found) -> None:
    """hubq and the peers, as bars."""
    jobs = {name: median(found, "peers", name, "handled_per_s") for name in found["peers"]}
    trips = {name: median(found, "peers", name, "p50_ms") for name in found["peers"]}
    jobs["hubq"] = median(found, "messages", "hubq", "casts_per_s")
    trips["hubq"] = median(found, "messages", "hubq", "call_p50_ms")
    charts = [("no-op messages or jobs per second, one worker", jobs), ("round trip of one, idle, p50, ms", trips)]
    chart.write(CHART, charts, "hubq")
