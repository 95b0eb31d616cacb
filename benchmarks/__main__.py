"""One command, about a minute: a Redis of its own, all measurements interleaved, a table, ``results.json``."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time

from redis.asyncio import Redis

from benchmarks import messages, migration, processes, report
from hubq.cli.worker import fastest_loop
from hubq.store.embedded import EmbeddedServer


async def empty(url: str) -> None:
    """Start each measurement from nothing."""
    async with Redis.from_url(url) as redis:
        await redis.flushall()


async def measure(url: str, rounds: int) -> report.Rounds:
    """All rounds."""
    found: report.Rounds = {"hubq": [], "bare": [], "starts": [], "migration": []}
    for turn in range(1, rounds + 1):
        for part, work in (
            ("hubq", lambda turn=turn: messages.measure_hubq(url, f"messages{turn}")),
            ("bare", lambda: messages.measure_bare(url)),
            ("starts", lambda turn=turn: messages.measure_starts(url, f"starts{turn}")),
            ("migration", lambda turn=turn: migration.measure(url, f"migration{turn}")),
        ):
            print(f"round {turn} of {rounds}: {part}", file=sys.stderr)
            await empty(url)
            found[part].append(await work())
    return found


async def machine(server: EmbeddedServer) -> dict[str, str]:
    """Where this ran."""
    async with Redis.from_url(server.url) as redis:
        version = (await redis.info("server"))["redis_version"]
    return {
        "cores": f"{os.cpu_count()} cores",
        "python": f"Python {platform.python_version()}",
        "redis": f"Redis {version}",
        "loop": "uvloop" if fastest_loop() else "asyncio's own loop",
    }


async def main(rounds: int) -> None:
    """Measure and tell."""
    began = time.perf_counter()
    with EmbeddedServer() as server:
        about = await machine(server)
        found = await measure(server.url, rounds)
    processes.LOG.unlink(missing_ok=True)
    report.show(found, about, time.perf_counter() - began)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(main(parser.parse_args().rounds))
