"""Dormant children: what millions of them cost a hub of which 20,000 are active (docs/dormant.md).

``python -m benchmarks.dormant --dormant 5000000``. One Redis has two hubs with the same active children; one of them has the dormant ones,
too. Everything is measured in both, in turns: the memory of a worker that has all, a take-over after a kill, a drain. Then calls that wake
a child alternate with calls to active ones.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import time
from collections.abc import Iterable
from subprocess import Popen

from benchmarks.dormant_app import HUB, Note, Rest, make_hub
from benchmarks.processes import ended, start, wait_for_node
from benchmarks.usage import resident
from hubq import ChildSpec, Hub
from hubq.cli.worker import fastest_loop
from hubq.core.hashing import shard_of
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.dormant import parted
from hubq.store.embedded import EmbeddedServer
from hubq.store.membership import read_leases, redis_time_ms
from hubq.testing import eventually

#: Fields of one command, and active children asked for after a take-over (some of each shard).
AT_ONCE, ASKED = 1_000, 640


async def fill(hub: Hub, redis: AsyncRedis, count: int) -> float:
    """Make ``count`` dormant children as nodes do: one goes to rest by itself, and what stands in Redis then is written for the others.
    Seconds.
    """
    keys, shards = hub.keys, hub.config.shards
    sample = "d0"
    home = keys.dormant(shard_of(sample, shards))
    found: list[bytes] = []

    async def at_rest() -> bool:
        found[:] = [each for each in [await redis.run(plain("HGET", home, sample, read=lambda data: data))] if each]
        return bool(found)

    await eventually(at_rest, 30, "the first one is dormant")
    data = found[0].replace(b'"name":"Rest"', b'"name":"Note"')
    if data == found[0] or not all(parted(data)):
        raise RuntimeError("the dormant child has no spec or no state")
    began, waiting = time.perf_counter(), {shard: list[str | bytes]() for shard in range(shards)}
    for number in range(1, count):
        child = f"d{number}"
        fields = waiting[shard_of(child, shards)]
        fields += (child, data)
        if len(fields) == 2 * AT_ONCE:
            await redis.run(plain("HSET", keys.dormant(shard_of(child, shards)), *fields, read=int))
            fields.clear()
    for shard, fields in waiting.items():
        if fields:
            await redis.run(plain("HSET", keys.dormant(shard), *fields, read=int))
    return time.perf_counter() - began


async def begin(hub: Hub, url: str, name: str, shards: int) -> Popen[bytes]:
    """A worker that serves so many shards."""
    worker = start(
        "-m", "hubq", "worker", "benchmarks.dormant_app:hub", "--name", name, HUBQ_REDIS_URL=url, **{HUB: hub.hub_id}
    )
    await wait_for_node(hub, name, worker, shards)
    return worker


def some_of(active: int, shards: int) -> list[str]:
    """Active children of every shard."""
    chosen: dict[int, list[str]] = {}
    for number in range(active):
        chosen.setdefault(shard_of(f"a{number}", shards), []).append(f"a{number}")
    return [child for children in chosen.values() for child in children[: ASKED // shards]]


async def round_of(hub: Hub, url: str, redis: AsyncRedis, active: int) -> dict[str, float]:
    """Memory of the worker that has all children; a take-over of half of them; a drain of half of them."""
    loop, shards = asyncio.get_running_loop(), hub.config.shards
    a = await begin(hub, url, "a", shards)
    try:
        await served(hub, active)
        memory = resident(a.pid)
        b = await begin(hub, url, "b", shards // 2)
        await settled(hub, shards)
        lost = [child for child in some_of(active, shards) if (await hub.aio.where(child)).node == "b"]
        b.send_signal(signal.SIGKILL)
        leases, now = await redis.run_many([read_leases(hub.keys), redis_time_ms()])
        over = loop.time() + (leases["b"] - now) / 1000
        await asyncio.gather(*(hub.aio.ref(child).call("touch", timeout=60) for child in lost))
        taken_over = loop.time() - over
        await asyncio.to_thread(b.wait)
        c = await begin(hub, url, "c", shards // 2)
        await settled(hub, shards)
        began = loop.time()
        await ended(c)
        return {"memory_mb": memory / 1e6, "take_over_s": taken_over, "drain_s": loop.time() - began}
    finally:
        await ended(a)


async def served(hub: Hub, active: int) -> None:
    """Wait until all active children are on a node that has nothing else to do."""
    await asyncio.gather(
        *(hub.aio.ref(child).call("touch", timeout=60) for child in some_of(active, hub.config.shards))
    )
    await asyncio.sleep(1.0)


async def settled(hub: Hub, shards: int) -> None:
    """Wait until nothing moves."""

    async def even() -> bool:
        nodes = [node for node in await hub.aio.nodes() if node.lease > 0]
        return all(node.shards == shards // len(nodes) for node in nodes) and not await hub.aio.is_locked()

    await eventually(even, 60, "the shards are shared out")


async def waking(hub: Hub, url: str, count: int, dormant: int) -> dict[str, float]:
    """Calls that wake a child, and calls to active ones, by turns: p50 of each, ms."""
    worker = await begin(hub, url, "a", hub.config.shards)
    try:
        await served(hub, 1_000)
        woken: list[float] = []
        usual: list[float] = []
        for number in range(count):
            for child, times in ((f"d{1 + number * 7919 % (dormant - 1)}", woken), (f"a{number % 1_000}", usual)):
                began = time.perf_counter()
                await hub.aio.ref(child).call("touch", timeout=60)
                times.append((time.perf_counter() - began) * 1000)
        return {"woken_p50_ms": statistics.median(woken), "active_p50_ms": statistics.median(usual)}
    finally:
        await ended(worker)


async def measure(url: str, redis_pid: int, dormant: int, active: int, rounds: int) -> None:
    """All of it, printed as it comes."""
    alone, many = make_hub("alone", url), make_hub("many", url)
    redis = AsyncRedis(alone.server)
    try:
        for hub in (alone, many):
            worker = await begin(hub, url, "a", hub.config.shards)
            names = [f"a{number}" for number in range(active)]
            for first in range(0, active, 20_000):
                specs = [ChildSpec(name, Note, (name,)) for name in names[first : first + 20_000]]
                await hub.aio.start_children(specs, timeout=120)
            if hub is many:
                await hub.aio.start_child("d0", Rest, "d0")
                await hub.aio.ref("d0").call("touch")
                before = resident(redis_pid)
                seconds = await fill(hub, redis, dormant)
                each = (resident(redis_pid) - before) / dormant
                print(f"{dormant:,} dormant children in {seconds:.0f} s, {each:.0f} bytes of Redis each", flush=True)
            await ended(worker)
        found: dict[str, list[dict[str, float]]] = {"alone": [], "many": []}
        for number in range(rounds):
            for hub in (alone, many) if number % 2 == 0 else (many, alone):
                found[hub.hub_id].append(await round_of(hub, url, redis, active))
                print(hub.hub_id, found[hub.hub_id][-1], flush=True)
        for name in found["alone"][0]:
            one, other = (statistics.median(each[name] for each in found[hub]) for hub in ("alone", "many"))
            print(f"{name}: {other:.2f} with dormant children, {one:.2f} without: {other / one:.2f} times", flush=True)
        times = await waking(many, url, min(2_000, dormant // 2), dormant)
        ratio = times["woken_p50_ms"] / times["active_p50_ms"]
        print(
            f"waking {times['woken_p50_ms']:.2f} ms, an active one {times['active_p50_ms']:.2f} ms: {ratio:.2f} times"
        )
    finally:
        await redis.close()
        await alone.aio.close()
        await many.aio.close()


def main(arguments: Iterable[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dormant", type=int, default=5_000_000)
    parser.add_argument("--active", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(None if arguments is None else list(arguments))
    with EmbeddedServer() as server:
        if server.pid is None:
            raise SystemExit("the benchmark needs a redis-server or valkey-server on the PATH")
        measuring = measure(server.url, server.pid, options.dormant, options.active, options.rounds)
        with asyncio.Runner(loop_factory=fastest_loop()) as runner:
            runner.run(measuring)


if __name__ == "__main__":
    main()
