"""Casts end to end, idle calls, and starts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from benchmarks import bare_loop
from benchmarks.app import Account, Idle
from benchmarks.processes import served_hub, start_children

CHILDREN = 1_000
IN_FLIGHT = 500
WARM_UP_CALLS = 100
POLL = 0.01

Send = Callable[[list[str]], Awaitable[object]]


async def until_empty(redis: Redis, streams: list[str]) -> None:
    """Until every message has been handled and deleted."""
    while True:
        pipeline = redis.pipeline(transaction=False)
        for stream in streams:
            pipeline.xlen(stream)
        if not any(await pipeline.execute()):
            return
        await asyncio.sleep(POLL)


async def casts_per_second(redis: Redis, streams: list[str], send: Send, casts: int) -> float:
    """From the first send until the last message is handled and gone."""
    began = 0.0
    for count in (casts // 12, casts):  # the first is to warm up
        began = time.perf_counter()
        for first in range(0, count, IN_FLIGHT):
            await send([f"c{number % CHILDREN}" for number in range(first, first + IN_FLIGHT)])
        await until_empty(redis, streams)
    return casts / (time.perf_counter() - began)


async def call_times(call: Callable[[str], Awaitable[object]], calls: int) -> dict[str, float]:
    """One caller, one call at a time; milliseconds."""
    times: list[float] = []
    for number in range(calls + WARM_UP_CALLS):
        began = time.perf_counter()
        await call(f"c{number % CHILDREN}")
        times.append((time.perf_counter() - began) * 1000)
    times = sorted(times[WARM_UP_CALLS:])
    return {"call_p50_ms": times[calls // 2], "call_p99_ms": times[calls * 99 // 100]}


async def measure_hubq(url: str, hub_id: str, casts: int, calls: int) -> dict[str, float]:
    """Casts and calls of hubq: one worker."""
    async with served_hub(url, hub_id) as (hub, _), Redis.from_url(url) as redis:
        await start_children(hub, Idle, CHILDREN)
        refs = {f"c{number}": hub.aio.ref(f"c{number}") for number in range(CHILDREN)}

        async def send(names: list[str]) -> None:
            await asyncio.gather(*[refs[name].cast("touch") for name in names])

        streams = [hub.keys.mailbox(shard) for shard in range(hub.config.shards)]
        found = {"casts_per_s": await casts_per_second(redis, streams, send, casts)}
        return found | await call_times(lambda name: refs[name].call("touch"), calls)


async def measure_bare(url: str, casts: int, calls: int) -> dict[str, float]:
    """Casts and calls of the bare loop: one process."""
    async with bare_loop.served(url) as redis:
        found = {
            "casts_per_s": await casts_per_second(
                redis, bare_loop.STREAMS, lambda names: bare_loop.cast_all(redis, names), casts
            )
        }
        return found | await call_times(lambda name: bare_loop.call(redis, name), calls)


async def measure_starts(url: str, hub_id: str, starts: int) -> dict[str, float]:
    """``start_children`` of many, until all of them run."""
    async with served_hub(url, hub_id) as (hub, _):
        began = time.perf_counter()
        await start_children(hub, Account, starts)
        return {"starts_per_s": starts / (time.perf_counter() - began)}
