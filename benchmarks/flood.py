"""``python -m benchmarks.flood [messages]``: one child is offered a million messages at full speed. What it does to the
memory of its worker and of Redis, and to the calls of a neighbour in the same shard.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from statistics import quantiles

from redis.asyncio import Redis

from benchmarks.processes import served_hub
from hubq import Hub, MailboxFull
from hubq.cli.worker import fastest_loop
from hubq.core.hashing import shard_of
from hubq.store.embedded import EmbeddedServer

MB = 1024 * 1024
#: Casts in flight; what an application that knows no bound would do.
IN_FLIGHT = 500


class Samples:
    """The largest of what was seen."""

    def __init__(self, hub: Hub, redis: Redis, worker: int, child: str) -> None:
        self.hub, self.redis, self.worker, self.child = hub, redis, worker, child
        self.rss = self.used = self.mailbox = 0

    async def take(self) -> None:
        """Look now."""
        pages = int(Path(f"/proc/{self.worker}/statm").read_text().split()[1])  # noqa: ASYNC240
        self.rss = max(self.rss, pages * os.sysconf("SC_PAGE_SIZE"))
        self.used = max(self.used, int((await self.redis.info("memory"))["used_memory"]))
        shard = shard_of(self.child, self.hub.config.shards)
        self.mailbox = max(self.mailbox, await self.redis.xlen(self.hub.keys.mailbox(shard)))


async def calls(hub: Hub, child: str, times: list[float], over: asyncio.Event) -> None:
    """A neighbour's caller, 50 times per second."""
    while not over.is_set():
        began = time.perf_counter()
        await hub.aio.ref(child).call("touch", timeout=30)
        times.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)


async def main(offered: int) -> None:
    """Flood, and tell."""
    from benchmarks.app import Idle

    with EmbeddedServer() as server:
        async with served_hub(server.url, "flood") as (hub, worker), Redis.from_url(server.url) as redis:
            shard = shard_of("flooded", hub.config.shards)
            neighbour = next(f"n{n}" for n in range(10_000) if shard_of(f"n{n}", hub.config.shards) == shard)
            for child in ("flooded", neighbour):
                await hub.aio.start_child(child, Idle)
            samples, quiet, loud = Samples(hub, redis, worker.pid, "flooded"), list[float](), list[float]()
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(3.0, over.set)
            await calls(hub, neighbour, quiet, over)
            await samples.take()
            before = samples.rss, samples.used
            over = asyncio.Event()
            caller = asyncio.create_task(calls(hub, neighbour, loud, over))
            began, accepted, refused = time.perf_counter(), 0, 0
            for number in range(0, offered, IN_FLIGHT):
                casts = [hub.aio.ref("flooded").cast("touch") for _ in range(min(IN_FLIGHT, offered - number))]
                for answer in await asyncio.gather(*casts, return_exceptions=True):
                    if isinstance(answer, MailboxFull):
                        refused += 1
                    elif answer is None:
                        accepted += 1
                    else:
                        raise answer
                if number % (20 * IN_FLIGHT) == 0:
                    await samples.take()
            seconds = time.perf_counter() - began
            over.set()
            await caller
            await samples.take()
    print(f"{offered:,} messages offered in {seconds:.0f} s: {accepted:,} accepted, {refused:,} refused (MailboxFull)")
    print(f"longest mailbox {samples.mailbox:,} (max_backlog {hub.config.max_backlog:,})")
    print(f"worker RSS {before[0] / MB:.0f} -> {samples.rss / MB:.0f} MB at most")
    print(f"Redis used_memory {before[1] / MB:.1f} -> {samples.used / MB:.1f} MB at most")
    for name, times in (("without the flood", quiet), ("during it", loud)):
        cuts = quantiles(times, n=100)
        print(
            f"a neighbour's call {name}: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms ({len(times)} calls)"
        )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
