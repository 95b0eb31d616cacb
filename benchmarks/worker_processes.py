"""What `hubq worker --processes n` gives on one machine: casts per second, and CPU per cast of workers and of Redis.

``python -m benchmarks.worker_processes`` (a minute or two on a quiet machine). All messages are sent while the workers stand still
(SIGSTOP). What is measured is the handling alone. The numbers of processes take turns. One kind of handler does nothing, the other
computes for a while.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from benchmarks.app import Busy, Idle
from benchmarks.casts import Setting, measure
from benchmarks.processes import LOG
from benchmarks.report import spread
from hubq import Child
from hubq.cli.worker import fastest_loop
from hubq.store.embedded import EmbeddedServer

ROUNDS = 5
#: Kind of child -> casts of a measurement: a second or two of work.
CASTS: dict[type[Child], int] = {Idle: 40_000, Busy: 8_000}

#: Kind of child, number of processes -> the figures of each round.
Found = dict[tuple[type[Child], int], list[dict[str, float]]]
FIGURES = ("casts_per_s", "workers_us", "redis_us")


async def measured(counts: Sequence[int], rounds: int, part: float) -> Found:
    """Round by round. ``part``: of the casts."""
    found: Found = {}
    with EmbeddedServer() as server:
        assert server.pid is not None
        for turn in range(rounds):
            for kind, casts in CASTS.items():
                for count in counts:
                    setting = Setting(nodes=count, kind=kind, backlog=True, one_command=True)
                    name = f"processes-{kind.__name__}-{count}-{turn}"
                    figures = await measure(server.url, name, setting, server.pid, int(casts * part))
                    found.setdefault((kind, count), []).append(figures)
                    print(name, {what: round(value, 2) for what, value in figures.items()}, file=sys.stderr)
    LOG.unlink(missing_ok=True)
    return found


def main() -> None:
    """Measure one process, two, and one per core. Print the medians, from least to most, and how many times one process that is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.worker_processes")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tiny", action="store_true", help="just to see that it runs")
    given = parser.parse_args()
    counts = sorted({1, 2, os.cpu_count() or 1})
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        found = runner.run(measured(counts, given.rounds, 0.01 if given.tiny else 1.0))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}")
    print(f"{'child, --processes':<20}" + "".join(f"{what:>28}" for what in FIGURES) + f"{'times one':>20}")
    for (kind, count), every in found.items():
        cells = [f"{spread([figures[what] for figures in every]):>28}" for what in FIGURES]
        pairs = zip(every, found[kind, 1], strict=True)
        times = spread([figures["casts_per_s"] / one["casts_per_s"] for figures, one in pairs])
        print(f"{f'{kind.__name__}, {count}':<20}" + "".join(cells) + f"{times:>20}")


if __name__ == "__main__":
    main()
