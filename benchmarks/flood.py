"""``python -m benchmarks.flood [messages] [--loaders n] [--handler-ms t]``: one child is offered a million messages at full
speed. What it does to the memory of its worker and of Redis, and to the calls of a neighbour in the same shard.

The loaders are processes of their own, so that the neighbour's caller measures what another application would see. With
``--handler-ms`` the flooded child takes that long for each message, so that the bound is reached however slow the loaders
are. ``--elsewhere`` floods a child of another hub in the same Redis, which no worker serves: what the loaders alone do to
the neighbour, by taking their part of the processors and of Redis.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import quantiles

from redis.asyncio import Redis

from benchmarks.app import Idle, make_hub
from benchmarks.processes import ROOT, served_hub
from hubq import CallTimeout, Hub, MailboxFull
from hubq.cli.worker import fastest_loop
from hubq.core.hashing import shard_of
from hubq.store.embedded import EmbeddedServer

MB = 1024 * 1024
#: Casts in flight of one loader; what an application that knows no bound would do.
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

    async def until(self, over: asyncio.Event) -> None:
        """Look five times per second."""
        while not over.is_set():
            await self.take()
            await asyncio.sleep(0.2)


async def calls(hub: Hub, child: str, times: list[float], over: asyncio.Event) -> None:
    """A neighbour's caller, 50 times per second."""
    while not over.is_set():
        began = time.perf_counter()
        await hub.aio.ref(child).call("touch", timeout=30)
        times.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)


async def load(hub_id: str, url: str, offered: int, handler_ms: float) -> None:
    """A loader: offer messages to the flooded child as fast as they go out; the counts are printed as JSON."""
    hub = make_hub(hub_id, url)
    method, args = ("wait", (handler_ms,)) if handler_ms else ("touch", ())
    accepted = refused = 0
    for number in range(0, offered, IN_FLIGHT):
        casts = [hub.aio.ref("flooded").cast(method, *args) for _ in range(min(IN_FLIGHT, offered - number))]
        for answer in await asyncio.gather(*casts, return_exceptions=True):
            if isinstance(answer, MailboxFull):
                refused += 1
            elif answer is None:
                accepted += 1
            else:
                raise answer
    print(json.dumps([accepted, refused]))
    await hub.aio.close()


async def flood(options: argparse.Namespace, hub_id: str, url: str) -> tuple[int, int]:
    """Run the loaders; how many messages were accepted, and refused."""
    loaders = []
    for _ in range(options.loaders):
        each = str(options.messages // options.loaders)
        command = [sys.executable, "-m", "benchmarks.flood", each, "--handler-ms", str(options.handler_ms)]
        command += ["--load", hub_id, url]
        loaders.append(await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE))
    counts = []
    for loader in loaders:
        out, _ = await loader.communicate()
        if loader.returncode:
            raise RuntimeError(f"a loader ended with {loader.returncode}")
        counts.append(json.loads(out))
    return sum(count[0] for count in counts), sum(count[1] for count in counts)


async def main(options: argparse.Namespace) -> None:
    """Flood, and tell."""
    with EmbeddedServer() as server:
        async with served_hub(server.url, "flood") as (hub, worker), Redis.from_url(server.url) as redis:
            shard = shard_of("flooded", hub.config.shards)
            neighbour = next(f"n{n}" for n in range(10_000) if shard_of(f"n{n}", hub.config.shards) == shard)
            for child in ("flooded", neighbour):
                await hub.aio.start_child(child, Idle)
            target = hub
            if options.elsewhere:
                target = make_hub("elsewhere", server.url)
                with contextlib.suppress(CallTimeout):  # nobody serves it
                    await target.aio.start_child("flooded", Idle, timeout=0.1)
            samples, quiet, loud = Samples(hub, redis, worker.pid, "flooded"), list[float](), list[float]()
            over = asyncio.Event()
            asyncio.get_running_loop().call_later(5.0, over.set)
            await calls(hub, neighbour, quiet, over)
            await samples.take()
            before = samples.rss, samples.used
            over = asyncio.Event()
            beside = [asyncio.create_task(calls(hub, neighbour, loud, over)), asyncio.create_task(samples.until(over))]
            began = time.perf_counter()
            accepted, refused = await flood(options, target.hub_id, server.url)
            seconds = time.perf_counter() - began
            over.set()
            await asyncio.gather(*beside)
            if target is not hub:
                await target.aio.close()
    print(f"{accepted + refused:,} messages offered in {seconds:.0f} s by {options.loaders} loaders: ", end="")
    print(f"{accepted:,} accepted, {refused:,} refused (MailboxFull)")
    print(f"longest mailbox {samples.mailbox:,} (max_backlog {hub.config.max_backlog:,})")
    print(f"worker RSS {before[0] / MB:.0f} -> {samples.rss / MB:.0f} MB at most")
    print(f"Redis used_memory {before[1] / MB:.1f} -> {samples.used / MB:.1f} MB at most")
    for name, times in (("without the flood", quiet), ("during it", loud)):
        cuts = quantiles(times, n=100)
        print(
            f"a neighbour's call {name}: p50 {cuts[49] * 1000:.1f} ms, p99 {cuts[98] * 1000:.1f} ms ({len(times)} calls)"
        )


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flood")
    parser.add_argument("messages", type=int, nargs="?", default=1_000_000)
    parser.add_argument("--loaders", type=int, default=2)
    parser.add_argument("--handler-ms", type=float, default=0.0)
    parser.add_argument("--elsewhere", action="store_true")
    parser.add_argument("--load", nargs=2, metavar=("HUB", "URL"), help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    asked = options()
    work = load(*asked.load, asked.messages, asked.handler_ms) if asked.load else main(asked)
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(work)
