"""hubq and two bare loops side by side: casts end to end, calls with nothing else going on and at half load; and starts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from redis.asyncio import Redis

from benchmarks import bare_loop, socket_loop
from benchmarks.app import Account, Idle
from benchmarks.casts import CHILDREN, IN_FLIGHT, Send, casts_per_second, until_empty
from benchmarks.pace import Pace
from benchmarks.processes import served_hub, start_children
from benchmarks.usage import cpu_seconds
from hubq import Hub

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
    return parts_of(times[WARM_UP_CALLS:], name)


def waiting_call_times(hub: Hub, calls: int, name: str) -> dict[str, float]:
    """The same of a caller that waits (``hub.ref(...).call``)."""
    refs, times = [hub.ref(f"c{number}") for number in range(CHILDREN)], []
    for number in range(calls + WARM_UP_CALLS):
        began = time.perf_counter()
        refs[number % CHILDREN].call("touch")
        times.append((time.perf_counter() - began) * 1000)
    return parts_of(times[WARM_UP_CALLS:], name)


def parts_of(times: list[float], name: str) -> dict[str, float]:
    """The figures of these times."""
    times, calls = sorted(times), len(times)
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


class Cost:
    """Processor time of client, worker and Redis, µs for each message."""

    def __init__(self, redis_pid: int, worker_pid: int) -> None:
        self._redis, self._both = redis_pid, (os.getpid(), worker_pid)
        self._before = self._now()

    def _now(self) -> tuple[float, float]:
        return cpu_seconds(self._redis), sum(map(cpu_seconds, self._both))

    def since(self, messages: int, name: str) -> dict[str, float]:
        """Since the last time."""
        before, self._before = self._before, self._now()
        redis, both = (1e6 * (now - then) / messages for now, then in zip(self._before, before, strict=True))
        return {f"{name}_redis_us": redis, f"{name}_both_us": both}


async def _measured(
    call: Call, send: Send, until_done: Callable[[], Awaitable[None]], casts: int, calls: int, redis_pid: int, worker_pid: int
) -> dict[str, float]:  # fmt: skip
    """All figures of one system."""
    await casts_per_second(send, until_done, casts // 12)  # to warm up
    cost = Cost(redis_pid, worker_pid)
    found = {"casts_per_s": await casts_per_second(send, until_done, casts)}
    found |= cost.since(casts, "cast")
    found |= await call_times(call, calls, "call")
    found |= cost.since(calls + WARM_UP_CALLS, "call")
    return found | await _busy_calls(call, send, calls, found["casts_per_s"])


async def _busy_calls(call: Call, send: Send, calls: int, casts_per_s: float) -> dict[str, float]:
    found: dict[str, float] = {}
    async with half_load(send, HALF_LOAD * casts_per_s) as pace:
        found |= await call_times(call, calls, "busy_call")
        return found | {"busy_casts_per_s": pace.achieved(time.perf_counter())}


async def measure_hubq(url: str, hub_id: str, casts: int, calls: int, redis_pid: int) -> dict[str, float]:
    """Casts and calls of hubq: one worker."""
    async with served_hub(url, hub_id) as (hub, worker), Redis.from_url(url) as redis:
        await start_children(hub, Idle, CHILDREN)
        refs = {f"c{number}": hub.aio.ref(f"c{number}") for number in range(CHILDREN)}

        async def send(names: list[str]) -> None:
            await hub.aio.cast_many([(name, "touch") for name in names])

        async def call(name: str) -> object:
            return await refs[name].call("touch")

        streams = [hub.keys.mailbox(shard) for shard in range(hub.config.shards)]
        done = partial(until_empty, redis, streams)
        found = await _measured(call, send, done, casts, calls, redis_pid, worker.pid)
        return found | await asyncio.to_thread(waiting_call_times, hub, calls, "waiting_call")


async def measure_bare(url: str, casts: int, calls: int, redis_pid: int) -> dict[str, float]:
    """Casts and calls of the bare loop: one process."""
    async with bare_loop.served(url) as (redis, worker):

        async def send(names: list[str]) -> None:
            await bare_loop.cast_all(redis, names)

        done = partial(until_empty, redis, bare_loop.STREAMS)
        call = partial(bare_loop.call, redis)
        return await _measured(call, send, done, casts, calls, redis_pid, worker)


async def measure_sockets(url: str, casts: int, calls: int, redis_pid: int) -> dict[str, float]:
    """Casts and calls of the socket loop: one process."""
    async with socket_loop.served(url) as (client, worker), Redis.from_url(url) as redis:
        done = partial(until_empty, redis, [stream.decode() for stream in socket_loop.STREAMS])
        return await _measured(client.call, client.cast_all, done, casts, calls, redis_pid, worker)


async def measure_starts(url: str, hub_id: str, starts: int) -> dict[str, float]:
    """``start_children`` of many, until all of them run."""
    async with served_hub(url, hub_id) as (hub, _):
        began = time.perf_counter()
        await start_children(hub, Account, starts)
        return {"starts_per_s": starts / (time.perf_counter() - began)}
