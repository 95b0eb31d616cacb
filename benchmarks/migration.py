"""A join and a drain of all children while they are called."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from redis.asyncio import Redis

from benchmarks.app import Account
from benchmarks.pace import Pace
from benchmarks.processes import ended, served_hub, start_children, start_worker, wait_for_node
from hubq import Hub

RATE = 2_000
TICK = 0.01
#: Calls begun at once, and calls that wait for their answers: no more on a machine that cannot keep the rate up.
LARGEST, IN_HAND = 200, 2_000
SETTLE = 1.5


class Load:
    """Calls at a fixed rate, whether or not the answers keep up (within bounds): each child in turn. ``rate``: calls per
    second; ``timeout``: of each, seconds; ``in_hand``: so many may wait at most.
    """

    def __init__(
        self, hub: Hub, names: list[str], *, rate: float = RATE, timeout: float = 10.0, in_hand: int = IN_HAND
    ) -> None:
        self._rate, self._timeout, self._in_hand = rate, timeout, in_hand
        self.refs = [hub.aio.ref(name) for name in names]
        self.answered = [0] * len(names)
        self.failed: list[str] = []
        self.times: list[tuple[float, float]] = []
        self._calls: set[asyncio.Task[None]] = set()
        self._task = asyncio.create_task(self._run())

    async def _call(self, number: int) -> None:
        began = time.perf_counter()
        try:
            await self.refs[number].call("add", 1, timeout=self._timeout)
            self.answered[number] += 1
        except Exception as error:
            self.failed.append(repr(error))
        self.times.append((began, (time.perf_counter() - began) * 1000))

    async def _run(self) -> None:
        pace, number = Pace(self._rate, LARGEST, time.perf_counter()), 0
        while True:
            for _ in range(min(pace.due(time.perf_counter()), self._in_hand - len(self._calls))):
                task = asyncio.create_task(self._call(number % len(self.refs)))
                self._calls.add(task)
                task.add_done_callback(self._calls.discard)
                number += 1
            await asyncio.sleep(TICK)

    def cancel(self) -> None:
        """No more calls; the measurement has failed, or is over."""
        self._task.cancel()

    async def stop(self) -> None:
        """No more calls; wait for the answers."""
        self._task.cancel()
        await asyncio.gather(self._task, *self._calls, return_exceptions=True)

    async def wrong(self) -> int:
        """Children whose state is not the number of their answered calls. Ask after ``stop``."""
        values = await asyncio.gather(*[ref.call("add", 0, timeout=30) for ref in self.refs])
        return sum(value != answered for value, answered in zip(values, self.answered, strict=True))

    def percentile(self, since: float, until: float, part: float) -> float:
        """Of the times of the calls begun in a span, ms."""
        times = sorted(took for began, took in self.times if since <= began < until)
        return at(times, part)

    def rate(self, since: float, until: float) -> float:
        """Calls begun and answered per second in a span."""
        return sum(since <= began < until for began, _ in self.times) / (until - since)


def at(ordered: list[float], part: float) -> float:
    """A percentile; NaN of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("nan")


async def events_since(redis: Redis, hub: Hub, last: str) -> list[tuple[str, dict[str, str]]]:
    """The events after an entry."""
    found = await redis.xrange(hub.keys.events, f"({last}" if last else "-")
    return [(entry.decode(), {k.decode(): v.decode() for k, v in fields.items()}) for entry, fields in found]


def move_figures(what: str, events: list[tuple[str, dict[str, str]]], seconds: float) -> dict[str, float]:
    """The figures of one join or drain."""
    pauses: list[float] = []
    for _, fields in events:
        if fields["type"] == "shard_migrated":
            pauses += [float(fields["pause_ms"])] * int(fields["children"])
        elif fields["type"] == "child_migrated":
            pauses.append(float(fields["pause_ms"]))
    pauses.sort()
    return {
        f"{what}_children": len(pauses),
        f"{what}_seconds": seconds,
        f"{what}_children_per_s": len(pauses) / seconds,
        f"{what}_pause_p50_ms": at(pauses, 0.5),
        f"{what}_pause_p99_ms": at(pauses, 0.99),
        f"{what}_pause_max_ms": at(pauses, 1.0),
    }


def stamp(entry: str) -> float:
    """When an event was written: seconds by the clock of Redis, which is that of this machine."""
    return int(entry.partition("-")[0]) / 1000


def last_move(events: list[tuple[str, dict[str, str]]]) -> float:
    """When the last child was served at its new place."""
    return max(stamp(entry) for entry, fields in events if fields["type"] in ("shard_migrated", "child_migrated"))


def joined_at(events: list[tuple[str, dict[str, str]]]) -> float:
    """When the new node was in."""
    return next(stamp(entry) for entry, fields in events if fields["type"] == "node_joined")


async def measure(url: str, hub_id: str, children: int = 1_000, size: int = 200) -> dict[str, Any]:
    """Worker b joins, then worker a is told to end (SIGTERM), both under load. ``size``: bytes of each child's state."""
    async with served_hub(url, hub_id) as (hub, a), Redis.from_url(url) as redis:
        load = Load(hub, await start_children(hub, Account, children, size))
        await asyncio.sleep(2 * SETTLE)
        now = time.perf_counter()
        steady = now - SETTLE, now - 0.2
        before = (await events_since(redis, hub, ""))[-1][0]
        joining = time.perf_counter()
        b = start_worker(hub, url, "b")
        try:
            await wait_for_node(hub, "b", b, hub.config.shards // 2)
            joined = time.perf_counter()
            await asyncio.sleep(SETTLE)
            events = await events_since(redis, hub, before)
            figures = move_figures("join", events, last_move(events) - joined_at(events))
            signalled, draining = time.time(), time.perf_counter()
            await ended(a)
            drained = time.perf_counter()
            await asyncio.sleep(SETTLE)
            events = await events_since(redis, hub, events[-1][0])
            figures |= move_figures("drain", events, last_move(events) - signalled)
            figures["drain_exit_seconds"] = drained - draining
            await load.stop()
            return {
                "rate_steady": load.rate(*steady),
                "steady_call_p50_ms": load.percentile(*steady, 0.5),
                "steady_call_p99_ms": load.percentile(*steady, 0.99),
                "join_call_p99_ms": load.percentile(joining, joined, 0.99),
                "drain_call_p99_ms": load.percentile(draining, drained, 0.99),
                **figures,
                "calls": len(load.times),
                "failed_calls": len(load.failed),
                "wrong_states": await load.wrong(),
                "failures": load.failed[:5],
            }
        finally:
            load.cancel()
            await ended(b)
