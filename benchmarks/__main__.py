"""One command: a Redis of its own, all measurements interleaved, tables, ``results.json`` and a chart.

Parts: ``messages`` (with the two bare loops), ``casts`` (in many settings), ``starts``, ``migration`` (1,000 and 10,000 children
with 200 bytes and with 10 KB of state), ``take-over`` (after a kill), ``memory``, ``growth``, ``primaries`` (a hub on 1 to 8
primaries), ``peers`` (each in an environment of its own under the cache directory; the first time pip needs a few minutes).
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import itertools
import os
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from benchmarks import casts, growth, memory, messages, migration, peer_jobs, primaries, processes, report, take_over
from hubq.cli.worker import fastest_loop
from hubq.store.embedded import EmbeddedServer

PARTS = ("messages", "casts", "starts", "migration", "take-over", "memory", "growth", "primaries", "peers")
Work = Callable[[], Awaitable[dict[str, Any]]]

#: How long one measurement of a part may take, seconds: several times what it takes on two slow cores.
LIMITS = {
    "messages": 240.0, "casts": 300.0, "starts": 240.0, "migration": 300.0, "take-over": 300.0, "memory": 900.0,
    "growth": 900.0, "primaries": 480.0, "peers": 300.0,
}  # fmt: skip
#: How long its processes may take to end then. After that everything is stuck, and ends with a traceback.
LAST = 90.0


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    casts: int = 60_000
    calls: int = 2_000
    starts: int = 5_000
    moved: tuple[int, ...] = (1_000, 10_000)
    state_bytes: tuple[int, ...] = (200, 10_000)
    taken_over: tuple[int, ...] = (1_000, 10_000)
    children: int = 100_000
    growth_casts: int = growth.CASTS
    primaries: tuple[int, int, int] = (4_000, 5_000, 300)
    """Children, casts and calls of a turn."""
    peer_jobs: int | None = None
    """None: as many as suits each peer."""


QUICK = Sizes(5_000, 300, 1_000, (200,), (200,), (200,), 2_000, 2_000, (2_000, 2_000, 200), 200)
TINY = Sizes(500, 20, 20, (20,), (200,), (20,), 50, 500, (200, 500, 20), 50)


async def empty(url: str) -> None:
    """Start each measurement from nothing."""
    async with Redis.from_url(url) as redis:
        await redis.flushall()


def works(
    parts: list[str], sizes: Sizes, url: str, redis_pid: int, peers: list[str], turn: int
) -> list[tuple[str, str, Work]]:
    """What a round consists of: (part, whose figures, the work)."""
    found: list[tuple[str, str, Work]] = []
    if "messages" in parts:
        found.append(
            (
                "messages",
                "hubq",
                partial(messages.measure_hubq, url, f"messages{turn}", sizes.casts, sizes.calls, redis_pid),
            )
        )
        bare = {"socket loop": messages.measure_sockets, "bare loop": messages.measure_bare}
        found += [
            ("messages", name, partial(work, url, sizes.casts, sizes.calls, redis_pid)) for name, work in bare.items()
        ]
    if "starts" in parts:
        found.append(("starts", "hubq", lambda: messages.measure_starts(url, f"starts{turn}", sizes.starts)))
    if "casts" in parts:
        found += _in_settings("casts", casts.SETTINGS, sizes.casts, url, redis_pid, turn)
    if "migration" in parts:
        for count, size in itertools.product(sizes.moved, sizes.state_bytes):
            work = partial(migration.measure, url, f"migration{turn}-{count}-{size}", count, size)
            found.append(("migration", f"{count:,} of {size:,} B", work))
    if "take-over" in parts:
        for count, strategy in itertools.product(sizes.taken_over, take_over.STRATEGIES):
            work = partial(take_over.measure, url, f"{strategy}{turn}-{count}", strategy, count)
            found.append(("take-over", f"{strategy}, {count:,} children", work))
    if "memory" in parts:
        work = partial(memory.measure, url, f"memory{turn}", redis_pid, sizes.children)
        found.append(("memory", f"{sizes.children:,} children", work))
    if "growth" in parts:
        found += _in_settings("growth", growth.SETTINGS, sizes.growth_casts, url, redis_pid, turn)
    for name in peers:
        found.append(("peers", name, lambda name=name: peer_jobs.measure_one(name, url, sizes.peer_jobs)))
    return found


def _in_settings(
    part: str, settings: dict[str, casts.Setting], count: int, url: str, redis_pid: int, turn: int
) -> list[tuple[str, str, Work]]:
    return [
        (part, name, partial(casts.measure, url, f"{part}{turn}-{number}", setting, redis_pid, count))
        for number, (name, setting) in enumerate(settings.items())
    ]


async def in_time(work: Work, what: str, limit: float, late: list[str]) -> dict[str, Any]:
    """The figures; none, and a word on stderr and in ``late``, if they take longer than ``limit`` seconds."""
    faulthandler.dump_traceback_later(limit + LAST, exit=True)  # for work that blocks the loop
    try:
        async with asyncio.timeout(limit) as timer:
            return await work()
    except TimeoutError:
        if not timer.expired():
            raise
        late.append(f"{what}: not done within {limit:g} s")
        print(late[-1], file=sys.stderr)
        return {}
    finally:
        faulthandler.cancel_dump_traceback_later()


async def machine(url: str) -> dict[str, str]:
    """Where this ran."""
    async with Redis.from_url(url) as redis:
        version = (await redis.info("server"))["redis_version"]
    return {
        "cores": f"{os.cpu_count()} cores",
        "python": f"Python {platform.python_version()}",
        "redis": f"Redis {version}",
        "loop": "uvloop" if fastest_loop() else "asyncio's own loop",
    }


async def main(parts: list[str], rounds: int, sizes: Sizes, results: Path, limit: float | None = None) -> int:
    """Measure and tell. 1 if a child's state was wrong, a call failed in a move, or a part was not done in time."""
    began = time.perf_counter()
    found: report.Found = {}
    late: list[str] = []
    versions, missing = peer_jobs.present() if "peers" in parts else ({}, {})
    with EmbeddedServer() as server:
        assert server.pid is not None, "benchmarks need a real Redis: install redis-server"
        about = await machine(server.url)
        for turn in range(1, rounds + 1):
            for part, whose, work in works(parts, sizes, server.url, server.pid, list(versions), turn):
                what = f"round {turn} of {rounds}: {part}, {whose}"
                print(what, file=sys.stderr)
                await empty(server.url)
                if figures := await in_time(work, what, limit or LIMITS[part], late):
                    found.setdefault(part, {}).setdefault(whose, []).append(figures)
        if "primaries" in parts:
            work = partial(primaries.measure, rounds * primaries.TURNS, *sizes.primaries)
            print("primaries: all settings by turns", file=sys.stderr)
            if every := await in_time(work, "primaries", limit or LIMITS["primaries"], late):
                found["primaries"] = every
    processes.LOG.unlink(missing_ok=True)
    peer_jobs.LOG.unlink(missing_ok=True)
    report.show(found, about, versions, missing, late, rounds, time.perf_counter() - began, results)
    moves = [figures for every in found.get("migration", {}).values() for figures in every]
    return int(bool(late) or any(figures["failed_calls"] or figures["wrong_states"] for figures in moves))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between them (default: all)")
    parser.add_argument("--rounds", type=int, help="how often (default: 3, or 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round")
    parser.add_argument("--tiny", action="store_true", help="just to see that it runs")
    parser.add_argument("--children", type=int, help="children of the memory part (default: 100,000)")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="where every figure is written, as JSON")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="for one measurement (default: by its part)")
    given = parser.parse_args()
    chosen = given.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    sizes = TINY if given.tiny else QUICK if given.quick else Sizes()
    if given.children:
        sizes = replace(sizes, children=given.children)
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        sys.exit(
            runner.run(
                main(
                    chosen,
                    given.rounds or (1 if given.quick or given.tiny else 3),
                    sizes,
                    given.results,
                    given.limit,
                )
            )
        )
