"""What a cast costs, end to end: per second, and processor time of client, workers and Redis, in many settings."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from redis.asyncio import Redis

from benchmarks.app import KINDS, LEASE, SHARDS, Idle, make_hub
from benchmarks.processes import ended, start_worker, wait_for_node
from benchmarks.usage import cpu_seconds
from hubq import Child, ChildSpec, Hub, MailboxFull

CHILDREN = 1_000
IN_FLIGHT = 500
STARTED_AT_ONCE = 20_000
POLL = 0.01

Send = Callable[[list[str]], Awaitable[object]]
How = Literal["together", "gathered", "one by one", "waiting, together", "waiting, one by one"]


@dataclass(frozen=True)
class Setting:
    """Who sends what to whom. With ``backlog`` the workers are stopped (SIGSTOP) until everything has been sent."""

    nodes: int = 1
    shards: int = 64
    children: int = CHILDREN
    kind: type[Child] = Idle
    how: How = "together"
    backlog: bool = False
    one_command: bool = False
    """The nodes are the processes of one ``hubq worker --processes``."""
    part: float = 1.0
    """Of the casts of the others: less where one takes long."""


SETTINGS = {
    "durable, 1,000 children": Setting(),
    "durable, 1 child": Setting(children=1),
    "durable, 100,000 children": Setting(children=100_000),
    "state of 200 B changed each time": Setting(kind=KINDS["Account"]),
    "the same, saved by interval": Setting(kind=KINDS["IntervalAccount"]),
    "the same, saved when it moves": Setting(kind=KINDS["HandoverAccount"]),
    "durable, 2 nodes": Setting(nodes=2),
    "500 casts gathered": Setting(how="gathered"),
    "one by one": Setting(how="one by one", part=0.1),
    "waiting client, together": Setting(how="waiting, together"),
    "waiting client, one by one": Setting(how="waiting, one by one", part=0.1),
}


def batches(count: int, children: int, at_once: int = IN_FLIGHT) -> Iterator[list[str]]:
    """Names of children, as many as are in flight at once; every child in turn, but not its neighbours."""
    for first in range(0, count, at_once):
        yield [f"c{number * 7919 % children}" for number in range(first, min(first + at_once, count))]


async def until_empty(redis: Redis, streams: list[str]) -> None:
    """Until every message has been handled and deleted."""
    while True:
        pipeline = redis.pipeline(transaction=False)
        for stream in streams:
            pipeline.xlen(stream)
        if not any(await pipeline.execute()):
            return
        await asyncio.sleep(POLL)


async def casts_per_second(send: Send, until_done: Callable[[], Awaitable[None]], casts: int) -> float:
    """From the first send until the last message is handled and gone; 500 in flight."""
    began = time.perf_counter()
    for names in batches(casts, CHILDREN):
        await send(names)
    await until_done()
    return casts / (time.perf_counter() - began)


@contextlib.asynccontextmanager
async def crew(url: str, hub_id: str, setting: Setting) -> AsyncIterator[tuple[Hub, list[int]]]:
    """A hub whose children have started, and the processes of its workers."""
    hub = make_hub(hub_id, url, setting.shards, lease=60.0 if setting.backlog else 5.0)
    environment = {SHARDS: str(setting.shards), LEASE: str(hub.config.lease)}
    if setting.one_command:
        names = [f"n-{number}" for number in range(1, setting.nodes + 1)] if setting.nodes > 1 else ["n"]
        started = [start_worker(hub, url, "n", "--processes", str(setting.nodes), **environment)]
    else:
        names = [f"n{number}" for number in range(setting.nodes)]
        started = [start_worker(hub, url, name, **environment) for name in names]
    workers: list[int] = []
    try:
        for number, name in enumerate(names):
            await wait_for_node(hub, name, started[min(number, len(started) - 1)], setting.shards // setting.nodes)
        workers += [node.pid for node in await hub.aio.nodes()]
        for first in range(0, setting.children, STARTED_AT_ONCE):
            some = range(first, min(first + STARTED_AT_ONCE, setting.children))
            await hub.aio.start_children([ChildSpec(f"c{number}", setting.kind) for number in some], timeout=60)
        yield hub, workers
    finally:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        with contextlib.suppress(Exception):
            await hub.aio.close()
        await asyncio.gather(*(ended(process) for process in started))


async def measure(url: str, hub_id: str, setting: Setting, redis_pid: int, casts: int) -> dict[str, float]:
    """One setting: every child has had a message before, so that nothing happens for the first time."""
    casts = max(IN_FLIGHT, int(casts * setting.part))
    async with crew(url, hub_id, setting) as (hub, workers), Redis.from_url(url) as redis:
        streams = [hub.keys.mailbox(shard) for shard in range(hub.config.shards)]

        async def until_handled() -> None:
            if setting.kind.durability != "interval":  # the messages of those stay until the next save
                return await until_empty(redis, streams)
            await asyncio.gather(*[hub.aio.ref(f"c{n}").call("touch", timeout=60) for n in range(setting.children)])

        send = sender(hub, setting.how)
        await asyncio.to_thread(hub.nodes)  # the waiting client connects
        for names in batches(max(casts // 4, setting.children), setting.children):
            await sender(hub, "together")(names)
        await until_handled()

        def used() -> tuple[float, float, float]:
            return time.process_time(), sum(map(cpu_seconds, workers)), cpu_seconds(redis_pid)

        began, before = time.perf_counter(), used()
        if setting.backlog:
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
        for names in batches(casts, setting.children):
            await send(names)
        client = time.process_time()
        if setting.backlog:  # what follows is the handling alone
            began, before = time.perf_counter(), (before[0], *used()[1:])
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        await until_handled()
        seconds, after = time.perf_counter() - began, used()
        per_cast = [(now - then) / casts * 1e6 for now, then in zip((client, *after[1:]), before, strict=True)]
        return {"casts_per_s": casts / seconds} | dict(
            zip(("client_us", "workers_us", "redis_us"), per_cast, strict=True)
        )


def sender(hub: Hub, how: How) -> Send:
    """How the client sends: 500 in one request, 500 coroutines, or one after another; awaiting or waiting."""

    async def together(names: list[str]) -> None:
        while names:
            answers = await hub.aio.cast_many([(name, "touch") for name in names])
            if other := [error for error in answers if error and not isinstance(error, MailboxFull)]:
                raise other[0]
            names = [name for name, error in zip(names, answers, strict=True) if error]
            if names:  # one child cannot keep up with a client that does nothing else
                await asyncio.sleep(POLL)

    async def gathered(names: list[str]) -> None:
        await asyncio.gather(*[hub.aio.ref(name).cast("touch") for name in names])

    async def one_by_one(names: list[str]) -> None:
        for name in names:
            await hub.aio.ref(name).cast("touch")

    async def waiting_together(names: list[str]) -> None:
        await asyncio.to_thread(hub.cast_many, [(name, "touch") for name in names])

    async def waiting_one_by_one(names: list[str]) -> None:
        def wait() -> None:
            for name in names:
                hub.ref(name).cast("touch")

        await asyncio.to_thread(wait)

    return {
        "together": together, "gathered": gathered, "one by one": one_by_one,
        "waiting, together": waiting_together, "waiting, one by one": waiting_one_by_one,
    }[how]  # fmt: skip
