"""hubq and the bare loop side by side: casts end to end, calls with nothing else going on and at half load; and starts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from redis.asyncio import Redis

from benchmarks import bare_loop
from benchmarks.app import Account, Idle
from benchmarks.casts import CHILDREN, IN_FLIGHT, Send, casts_per_second
from benchmarks.pace import Pace
from benchmarks.processes import served_hub, start_children

WARM_UP_CALLS = 100
#: Half load: casts meanwhile, as this part of the casts per second that were measured just before.
HALF_LOAD = 0.5
TICK = 0.005

Call = Callable[[str], Awaitable[object]]


async def call_times(call: Call, calls: int, name: str) -> dict[str, float]:
    """One caller, one call at a time; milliseconds."""
    times: list[float] = []
    for number in range(calls + WARM_UP_CALLS):
        began = time.perf_counter()
        await call(f"c{number % CHILDREN}")
        times.append((time.perf_counter() - began) * 1000)
    times = sorted(times[WARM_UP_CALLS:])
    parts = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    return {f"{name}_{what}_ms": times[min(calls - 1, int(calls * part))] for what, part in parts.items()}


@contextlib.asynccontextmanager
async def half_load(send: Send, rate: float) -> AsyncIterator[Pace]:
    """Casts at a steady rate meanwhile, as a tick's worth at a time."""
    pace, over = Pace(rate, IN_FLIGHT, time.perf_counter()), asyncio.Event()

    async def offer() -> None:
        while not over.is_set():
            before, due = pace.total, pace.due(time.perf_counter())
            if due:
                await send([f"c{number * 7 % CHILDREN}" for number in range(before, before + due)])
            await asyncio.sleep(TICK)

    task = asyncio.create_task(offer())
    try:
        yield pace
    finally:
        # Not cancelled: redis-py's pipelines may lose that, and the load would go on for ever.
        over.set()
        await asyncio.wait([task])
    task.result()  # if it has failed, there was no load, and nothing was measured


async def _calls(call: Call, send: Send, calls: int, casts_per_s: float) -> dict[str, float]:
    found = await call_times(call, calls, "call")
    async with half_load(send, HALF_LOAD * casts_per_s) as pace:
        found |= await call_times(call, calls, "busy_call")
        return found | {"busy_casts_per_s": pace.achieved(time.perf_counter())}


async def measure_hubq(url: str, hub_id: str, casts: int, calls: int) -> dict[str, float]:
    """Casts and calls of hubq: one worker."""
    async with served_hub(url, hub_id) as (hub, _), Redis.from_url(url) as redis:
        await start_children(hub, Idle, CHILDREN)
        refs = {f"c{number}": hub.aio.ref(f"c{number}") for number in range(CHILDREN)}

        async def send(names: list[str]) -> None:
            await hub.aio.cast_many([(name, "touch") for name in names])

        streams = [hub.keys.mailbox(shard) for shard in range(hub.config.shards)]
        found = {"casts_per_s": await casts_per_second(redis, streams, send, casts)}
        return found | await _calls(lambda name: refs[name].call("touch"), send, calls, found["casts_per_s"])


async def measure_bare(url: str, casts: int, calls: int) -> dict[str, float]:
    """Casts and calls of the bare loop: one process."""
    async with bare_loop.served(url) as redis:

        async def send(names: list[str]) -> None:
            await bare_loop.cast_all(redis, names)

        found = {"casts_per_s": await casts_per_second(redis, bare_loop.STREAMS, send, casts)}
        return found | await _calls(lambda name: bare_loop.call(redis, name), send, calls, found["casts_per_s"])


async def measure_starts(url: str, hub_id: str, starts: int) -> dict[str, float]:
    """``start_children`` of many, until all of them run."""
    async with served_hub(url, hub_id) as (hub, _):
        began = time.perf_counter()
        await start_children(hub, Account, starts)
        return {"starts_per_s": starts / (time.perf_counter() - began)}
