"""A peer's client: ``python drive.py PEER enqueue N`` or ``... calls N``. Runs in the peer's environment, prints JSON."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import work


def enqueue(put: Callable[[str], Any], count: int) -> dict[str, float]:
    """One by one, from code that waits."""
    began = time.perf_counter()
    for _ in range(count):
        put("handle")
    return {"enqueue_per_s": count / (time.perf_counter() - began)}


async def enqueue_async(put: Callable[[str], Any], count: int) -> dict[str, float]:
    """One by one, from code that awaits."""
    began = time.perf_counter()
    for _ in range(count):
        await put("handle")
    return {"enqueue_per_s": count / (time.perf_counter() - began)}


def summary(times: list[float]) -> dict[str, float]:
    """Of the round trips but for the first ones, ms."""
    times = sorted(times[10:])
    return {"p50_ms": times[len(times) // 2] * 1000, "p99_ms": times[len(times) * 99 // 100] * 1000}


def calls(put: Callable[[str], Any], count: int) -> dict[str, float]:
    """A job that answers, and the wait for its answer."""
    times = []
    for _ in range(count + 10):
        began = time.perf_counter()
        put("reply")
        assert work.redis.blpop([work.REPLY], timeout=20)
        times.append(time.perf_counter() - began)
    return summary(times)


async def calls_async(put: Callable[[str], Any], count: int) -> dict[str, float]:
    """The same, awaiting (the wait for the answer blocks the loop: nothing else is going on)."""
    times = []
    for _ in range(count + 10):
        began = time.perf_counter()
        await put("reply")
        assert work.redis.blpop([work.REPLY], timeout=20)
        times.append(time.perf_counter() - began)
    return summary(times)


async def asynchronous(peer: Any, what: str, count: int) -> dict[str, float]:
    """For peers whose client awaits."""
    await peer.begin()
    return await (enqueue_async if what == "enqueue" else calls_async)(peer.put, count)


if __name__ == "__main__":
    peer = importlib.import_module(sys.argv[1])
    what, count = sys.argv[2], int(sys.argv[3])
    if inspect.iscoroutinefunction(peer.put):
        found = asyncio.run(asynchronous(peer, what, count))
    else:
        found = (enqueue if what == "enqueue" else calls)(peer.put, count)
    print(json.dumps(found))
