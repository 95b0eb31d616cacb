"""Many children on one node: how fast they start, what an idle one costs, and whether the node still answers."""

from __future__ import annotations

import asyncio
import time

from benchmarks.app import Account
from benchmarks.processes import served_hub
from benchmarks.usage import cpu_seconds, resident
from hubq import ChildSpec

AT_ONCE = 20_000
CALLS = 1_000
#: How long the node is watched while nothing is going on, seconds.
IDLE = 3.0


async def measure(url: str, hub_id: str, redis_pid: int, children: int) -> dict[str, float]:
    """Start them, look at the memory, call some, look at the idle CPU."""
    async with served_hub(url, hub_id) as (hub, worker):
        await asyncio.sleep(0.3)
        node, redis = resident(worker.pid), resident(redis_pid)
        began = time.perf_counter()
        for first in range(0, children, AT_ONCE):
            some = range(first, min(first + AT_ONCE, children))
            result = await hub.aio.start_children([ChildSpec(f"c{number}", Account) for number in some], timeout=120)
            if result.errors:
                raise RuntimeError(f"{len(result.errors)} children did not start: {next(iter(result.errors.values()))}")
        seconds = time.perf_counter() - began
        found = {
            "started_per_s": children / seconds,
            "node_bytes_per_child": (resident(worker.pid) - node) / children,
            "redis_bytes_per_child": (resident(redis_pid) - redis) / children,
        }
        times: list[float] = []
        for number in range(CALLS):
            began = time.perf_counter()
            await hub.aio.ref(f"c{number * 7919 % children}").call("add", 1)
            times.append((time.perf_counter() - began) * 1000)
        times.sort()
        used = cpu_seconds(worker.pid)
        await asyncio.sleep(IDLE)
        return found | {
            "call_p50_ms": times[CALLS // 2],
            "call_p99_ms": times[CALLS * 99 // 100],
            "idle_cpu_percent": (cpu_seconds(worker.pid) - used) / IDLE * 100,
        }
