"""What a message costs as a hub grows: CPU of all workers and of Redis per cast, with more nodes, shards, children."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from pathlib import Path

from redis.asyncio import Redis

from benchmarks.app import SHARDS, Idle, make_hub
from benchmarks.messages import IN_FLIGHT, until_empty
from benchmarks.processes import ended, start_worker, wait_for_node
from hubq import ChildSpec

CASTS = 20_000
STARTED_AT_ONCE = 20_000

#: name -> (nodes, shards, children)
SIZES = {
    "1 node": (1, 64, 1_000),
    "2 nodes": (2, 64, 1_000),
    "4 nodes": (4, 64, 1_000),
    "8 nodes": (8, 64, 1_000),
    "16 nodes": (16, 64, 1_000),
    "16 shards": (1, 16, 1_000),
    "256 shards": (1, 256, 1_000),
    "10 children": (1, 64, 10),
    "100,000 children": (1, 64, 100_000),
}
TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident(pid: int) -> int:
    """Memory of a process, bytes (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def measure(url: str, hub_id: str, size: str, redis_pid: int, casts: int = CASTS) -> dict[str, float]:
    """One size."""
    nodes, shards, children = SIZES[size]
    hub = make_hub(hub_id, url, shards)
    names = [f"n{number}" for number in range(nodes)]
    workers = [start_worker(hub, url, name, **{SHARDS: str(shards)}) for name in names]
    try:
        for name, worker in zip(names, workers, strict=True):
            await wait_for_node(hub, name, worker, shards // nodes)
        for first in range(0, children, STARTED_AT_ONCE):
            some = range(first, min(first + STARTED_AT_ONCE, children))
            await hub.aio.start_children([ChildSpec(f"c{number}", Idle) for number in some], timeout=60)
        streams = [hub.keys.mailbox(shard) for shard in range(shards)]
        pids = [worker.pid for worker in workers]
        async with Redis.from_url(url) as redis:
            began, before, redis_before = 0.0, 0.0, 0.0
            for count in (casts // 4, casts):  # the first is to warm up
                began, redis_before = time.perf_counter(), cpu_seconds(redis_pid)
                before = sum(map(cpu_seconds, pids))
                for first in range(0, count, IN_FLIGHT):
                    targets = [f"c{number * 7919 % children}" for number in range(first, first + IN_FLIGHT)]
                    await asyncio.gather(*[hub.aio.ref(name).cast("touch") for name in targets])
                await until_empty(redis, streams)
        seconds = time.perf_counter() - began
        return {
            "casts_per_s": casts / seconds,
            "workers_us": (sum(map(cpu_seconds, pids)) - before) / casts * 1e6,
            "redis_us": (cpu_seconds(redis_pid) - redis_before) / casts * 1e6,
        }
    finally:
        with contextlib.suppress(Exception):
            await hub.aio.close()
        await asyncio.gather(*(ended(worker) for worker in workers))
