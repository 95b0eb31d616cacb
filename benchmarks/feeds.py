"""``python -m benchmarks.feeds [--subscribers 5000] [--children 10] [--rate 100] [--seconds 10]``: many subscribers in one process.

Each child publishes at a steady rate, and its subscribers check that every event comes once, in order. How long an event took from
the handler to a subscriber is measured by one subscriber of twenty, at each event. A loader of its own sends what makes the
children publish.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from statistics import quantiles

from redis.asyncio import Redis

from benchmarks.app import Teller, make_hub
from benchmarks.pace import Pace
from benchmarks.processes import ended, served_hub, start, start_children
from hubq import Event, Hub
from hubq.cli.worker import fastest_loop
from hubq.core.hashing import shard_of
from hubq.store.embedded import EmbeddedServer

#: One subscriber of so many measures.
MEASURES = 20
#: The latencies of the first seconds do not count.
WARM = 2.0


async def load(hub_id: str, url: str, children: int, rate: int, seconds: float) -> None:
    """Make each child publish ``rate`` times per second."""
    hub = make_hub(hub_id, url)
    names = [f"c{number}" for number in range(children)]
    pace, until = Pace(rate, 50, time.monotonic()), time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        for _ in range(pace.due(now)):
            await hub.aio.cast_many((name, "tell") for name in names)
        await asyncio.sleep(0.005)
    print(f"{pace.total * children} events asked for", file=sys.stderr)
    await hub.aio.close()


async def subscriber(hub: Hub, child: str, times: list[float] | None, since: float) -> tuple[int, int]:
    """Read a feed to its end: how many events came, and how many of them were not the next one."""
    count = wrong = 0
    async for event in hub.aio.ref(child).feed(after="0"):
        if not isinstance(event, Event):
            wrong += 1
            continue
        number, told = event.data
        count += 1
        if number != count:
            wrong += 1
        if times is not None and told > since:
            times.append(time.time() - told)
    return count, wrong


async def main(options: argparse.Namespace) -> None:
    """Subscribe, publish, and tell."""
    with EmbeddedServer() as server:
        async with served_hub(server.url, "feeds") as (hub, _), Redis.from_url(server.url) as redis:
            names = await start_children(hub, Teller, options.children)
            before = int((await redis.info("clients"))["connected_clients"])
            times: list[float] = []
            since = time.time() + WARM
            readers = [
                asyncio.create_task(subscriber(hub, names[n % len(names)], times if n % MEASURES == 0 else None, since))
                for n in range(options.subscribers)
            ]
            words = (str(options.children), str(options.rate), str(options.seconds + WARM))
            used = time.process_time()
            loader = start("-m", "benchmarks.feeds", "--load", hub.hub_id, server.url, *words)
            await asyncio.sleep(2 * WARM)
            connections = int((await redis.info("clients"))["connected_clients"]) - before
            await asyncio.to_thread(loader.wait)
            spent = (time.process_time() - used) / (options.seconds + WARM)
            await ended(loader)
            for name in names:
                await hub.aio.stop_child(name)
            results = await asyncio.gather(*readers)
            published: dict[str, int] = {}
            for name in names:
                ((last, _),) = await redis.xrevrange(feed_key(hub, name), count=1)
                published[name] = int(last.split(b"-")[1]) - 1  # the last one is the end
    missing = sum(abs(published[names[n % len(names)]] - count) for n, (count, _) in enumerate(results))
    wrong, taken = sum(wrong for _, wrong in results), sum(count for count, _ in results)
    cuts, total = quantiles(times, n=100), sum(published.values())
    print(
        f"{options.subscribers:,} subscribers, {len(names)} children, {total:,} events ({total / (options.seconds + WARM):,.0f}/s)"
    )
    print(f"{taken:,} taken, {missing} missing or twice, {wrong} out of order")
    print(
        f"from handler to subscriber: p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms, worst {max(times) * 1000:.0f} ms"
    )
    print(
        f"{spent * 100:.0f}% of a processor; {connections} connections more, those of the subscribers and of the loader"
    )


def feed_key(hub: Hub, child: str) -> str:
    """The feed of a child."""
    return hub.keys.feed(shard_of(child, hub.config.shards), child)


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.feeds")
    parser.add_argument("--subscribers", type=int, default=5_000)
    parser.add_argument("--children", type=int, default=10)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--load", nargs=5, metavar="WORD", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    asked = options()
    if asked.load:
        hub_id, url, children, rate, seconds = asked.load
        work = load(hub_id, url, int(children), int(rate), float(seconds))
    else:
        work = main(asked)
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(work)
