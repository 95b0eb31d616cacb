"""``python -m benchmarks.effects [--casts 20000] [--rounds 5]``: what a cast costs that is sent as an effect, beside a plain one.

A plain cast goes from a client to a child. A relayed one goes to a child that says one more to another child. The difference between
the two is what the effect costs: saying it, the commit's part, and its handling. Processor time of the worker and of Redis counts, and
that of the client does not. The rounds of the two are interleaved, so that a busy machine is busy for both.
"""

from __future__ import annotations

import argparse
import asyncio
from statistics import median

from redis.asyncio import Redis

from benchmarks.app import Idle, Relay
from benchmarks.casts import IN_FLIGHT, until_empty
from benchmarks.processes import served_hub
from benchmarks.usage import cpu_seconds
from hubq import ChildSpec, Hub
from hubq.cli.worker import fastest_loop
from hubq.store.embedded import EmbeddedServer

CHILDREN = 500


async def main(casts: int, rounds: int) -> None:
    """Measure, and print a table."""
    with EmbeddedServer() as server:
        async with served_hub(server.url, "effects") as (hub, worker), Redis.from_url(server.url) as redis:
            specs = [ChildSpec(f"c{n}", Idle) for n in range(CHILDREN)] + [
                ChildSpec(f"r{n}", Relay) for n in range(CHILDREN)
            ]
            await hub.aio.start_children(specs, timeout=60)
            redis_pid = int((await redis.info("server"))["process_id"])
            pids = (worker.pid, redis_pid)
            await one(hub, redis, pids, casts // 4, relayed=True)
            found: dict[bool, list[float]] = {False: [], True: []}
            for _ in range(rounds):
                for relayed in (False, True):
                    found[relayed].append(await one(hub, redis, pids, casts, relayed=relayed))
    ratios = [(relayed - plain) / plain for plain, relayed in zip(found[False], found[True], strict=True)]
    plain, relayed = median(found[False]), median(found[True])
    print(f"plain cast {plain:.0f} us of worker and Redis; as an effect {relayed - plain:.0f} us")
    print(f"ratio {median(ratios):.2f} (of {rounds} rounds: {min(ratios):.2f} to {max(ratios):.2f})")


async def one(hub: Hub, redis: Redis, pids: tuple[int, ...], casts: int, *, relayed: bool) -> float:
    """A round: processor time of worker and Redis for each cast, microseconds."""
    streams = [hub.keys.mailbox(shard) for shard in range(hub.config.shards)]
    before = sum(map(cpu_seconds, pids))
    for first in range(0, casts, IN_FLIGHT):
        some = range(first, min(first + IN_FLIGHT, casts))
        if relayed:
            sends = [(f"r{n % CHILDREN}", "pass_on", f"c{n * 7 % CHILDREN}") for n in some]
        else:
            sends = [(f"c{n % CHILDREN}", "touch") for n in some]
        answers = await hub.aio.cast_many(sends)
        if other := [error for error in answers if error]:
            raise other[0]
    await until_empty(redis, streams)
    return (sum(map(cpu_seconds, pids)) - before) / casts * 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.effects")
    parser.add_argument("--casts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(main(asked.casts, asked.rounds))
