"""One hub on 1, 2, 4 and 8 plain primaries, and eight groups on a single one: what a message costs against one primary.

Each setting has Redis servers of its own, a hub and a worker. All of them live for the whole part, and are measured by turns of a few
seconds. Processor time is that of each process, so what else runs on the machine matters less; still only ratios of the same turn count.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from subprocess import Popen

from redis.asyncio import Redis

from benchmarks.app import GROUPS, Idle, make_hub
from benchmarks.casts import IN_FLIGHT, batches, until_empty
from benchmarks.messages import parts_of
from benchmarks.pace import Pace
from benchmarks.processes import ended, start_worker, wait_for_node
from benchmarks.usage import cpu_seconds
from hubq import AsyncChildRef, ChildSpec, Hub
from hubq.core.layout import group_of, primary_of
from hubq.store.embedded import EmbeddedServer

#: Turns of every setting in one round.
TURNS = 3
#: Calls per second of the modest rate. They are sent one by one, evenly, so that none shares a request with another.
RATE = 400

#: What a bare client has Redis do, by turns on all primaries, at the pace of the calls before: what several processes cost by themselves.
BARE = "redis.call('XADD', KEYS[1], '*', 'n', ARGV[1]) return redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)"

ONE = "1 primary"


@dataclass(frozen=True)
class Setting:
    """So many groups on so many primaries: two for each, as the guide advises."""

    primaries: int = 1
    groups: int = 1


SETTINGS = {
    ONE: Setting(),
    "8 groups on 1": Setting(groups=8),
    "2 primaries": Setting(2, 4),
    "4 primaries": Setting(4, 8),
    "8 primaries": Setting(8, 16),
}


@dataclass(frozen=True)
class Used:
    """Processor time so far, seconds: of each primary, of the client, of the worker. And when that was."""

    primaries: tuple[float, ...]
    client: float
    worker: float
    at: float

    def since(self, before: Used, messages: int, name: str) -> dict[str, float]:
        """µs for each of so many messages."""
        each = [now - then for now, then in zip(self.primaries, before.primaries, strict=True)]
        client, worker = self.client - before.client, self.worker - before.worker
        spent = {
            "redis": sum(each), "busiest": max(each), "client": client, "worker": worker, "both": client + worker,
        }  # fmt: skip
        return {f"{name}_{what}_us": 1e6 * seconds / messages for what, seconds in spent.items()}

    def at_rest(self, before: Used) -> dict[str, float]:
        """Per cent of a core, while nobody sent anything."""
        seconds = self.at - before.at
        redis = sum(self.primaries) - sum(before.primaries)
        return {
            "rest_worker_percent": 100 * (self.worker - before.worker) / seconds,
            "rest_redis_percent": 100 * redis / seconds,
        }


class Life:
    """One setting, served: its hub, its worker and its primaries."""

    def __init__(self, hub: Hub, worker: Popen[bytes], servers: Sequence[EmbeddedServer], children: int) -> None:
        self._hub, self._worker, self._children = hub, worker, children
        self._pids = [server.pid for server in servers if server.pid is not None]
        self._redis = [Redis.from_url(server.url) for server in servers]
        self._refs = [hub.aio.ref(f"c{number}") for number in range(children)]
        self._rested: Used | None = None  # when it was measured last
        contexts, groups = hub.groups.contexts, hub.config.groups
        self._refs_of: list[list[AsyncChildRef]] = [[] for _ in servers]
        for number, ref in enumerate(self._refs):
            self._refs_of[primary_of(hub.driver.context.group_of(f"c{number}"), len(servers))].append(ref)
        self._mailboxes: list[list[str]] = [[] for _ in servers]
        for shard in range(hub.config.shards):
            group = group_of(shard, groups)
            self._mailboxes[primary_of(group, len(servers))].append(contexts[group].keys.mailbox(shard))

    async def close(self) -> None:
        """Close the connections."""
        for redis in self._redis:
            await redis.aclose()
        await self._hub.aio.close()

    async def turn(self, casts: int, calls: int) -> dict[str, float]:
        """Casts in batches, and in batches of as many for each primary; calls at a modest rate, and one after another, by rows of
        each primary and to all of them in turn; bare scripts at the pace of those.
        """
        found: dict[str, float] = {}
        if self._rested is not None:
            found |= self._used().at_rest(self._rested)
        began, before = time.perf_counter(), self._used()
        found |= (await self._cast(casts)).since(before, casts, "cast")
        found["casts_per_s"] = casts / (time.perf_counter() - began)
        wide = IN_FLIGHT * len(self._redis)
        before, count = self._used(), max(casts, 2 * wide)
        found |= (await self._cast(count, wide)).since(before, count, "wide")
        before = self._used()
        times = await self._paced(calls / RATE)
        found |= self._used().since(before, len(times), "call") | parts_of(times, "call")
        before = self._used()
        times = await self._in_rows(calls)
        found |= self._used().since(before, len(times), "row_call") | parts_of(times, "row_call")
        before = self._used()
        found |= await self._one_by_one(calls)
        after = self._used()
        found |= after.since(before, calls, "idle_call")
        found |= await self._bare(calls, (after.at - before.at) / calls)
        self._rested = self._used()
        return found | self._rested.since(after, calls, "bare")

    def _used(self) -> Used:
        primaries = tuple(cpu_seconds(pid) for pid in self._pids)
        return Used(primaries, time.process_time(), cpu_seconds(self._worker.pid), time.perf_counter())

    async def _cast(self, casts: int, at_once: int = IN_FLIGHT) -> Used:
        """What was used when all of them are handled and gone. (The client only till all were sent: then it looks whether they are.)"""
        for names in batches(casts, self._children, at_once):
            answers = await self._hub.aio.cast_many([(name, "touch") for name in names])
            if refused := [error for error in answers if error is not None]:
                raise refused[0]
        client = time.process_time()
        waits = zip(self._redis, self._mailboxes, strict=True)
        await asyncio.gather(*(until_empty(redis, mailboxes) for redis, mailboxes in waits))
        used = self._used()
        return Used(used.primaries, client, used.worker, used.at)

    async def _paced(self, seconds: float) -> list[float]:
        """Calls at the modest rate, answered or not: how long each took, ms."""
        began = time.perf_counter()
        pace, calls = Pace(RATE, IN_FLIGHT, began), list[asyncio.Task[float]]()
        while (now := time.perf_counter()) < began + seconds:
            for _ in range(pace.due(now)):
                ref = self._refs[len(calls) * 7919 % self._children]
                calls.append(asyncio.create_task(_ms(ref.call("touch"))))
            await asyncio.sleep(1 / RATE)
        return await asyncio.gather(*calls)

    async def _one_by_one(self, calls: int) -> dict[str, float]:
        times = [await _ms(self._refs[number * 7919 % self._children].call("touch")) for number in range(calls)]
        return parts_of(times, "idle_call")

    async def _in_rows(self, calls: int) -> list[float]:
        """About as many, but to the children of one primary after those of another: each primary finds its caches as it has left
        them, as it does with a core of its own.
        """
        each, times = calls // len(self._refs_of), list[float]()
        for refs in self._refs_of:
            times += [await _ms(refs[number * 7919 % len(refs)].call("touch")) for number in range(each)]
        return times

    async def _bare(self, scripts: int, every: float) -> dict[str, float]:
        """A script every so many seconds: in between each primary is as idle as it is while calls are made."""
        times: list[float] = []
        began = time.perf_counter()
        for number in range(scripts):
            # The timers of uvloop know whole milliseconds; nothing else has to run here.
            time.sleep(max(0.0, began + number * every - time.perf_counter()))  # noqa: ASYNC251
            times.append(await _ms(self._redis[number % len(self._redis)].eval(BARE, 1, "bare", number)))
        return parts_of(times, "bare")


async def _ms(work: Awaitable[object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1000


@contextlib.asynccontextmanager
async def life(name: str, setting: Setting, children: int) -> AsyncIterator[Life]:
    """The servers, the hub, the worker and the children of a setting."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(EmbeddedServer()) for _ in range(setting.primaries)]
        urls = [server.url for server in servers]
        hub = make_hub(f"primaries-{name.replace(' ', '-')}", urls, groups=setting.groups)
        worker = start_worker(hub, ",".join(urls), "a", **{GROUPS: str(setting.groups)})
        made: Life | None = None
        try:
            await wait_for_node(hub, "a", worker, hub.config.shards)
            specs = [ChildSpec(f"c{number}", Idle) for number in range(children)]
            if len((await hub.aio.start_children(specs, timeout=60)).started) != children:
                raise RuntimeError(f"not all of {children} children have started")
            made = Life(hub, worker, servers, children)
            yield made
        finally:
            await (made.close() if made is not None else hub.aio.close())
            await ended(worker)


async def measure(turns: int, children: int, casts: int, calls: int) -> dict[str, list[dict[str, float]]]:
    """The figures of each setting, turn by turn. The first turn is to warm up, and does not count."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in SETTINGS}
    async with contextlib.AsyncExitStack() as stack:
        lives = {
            name: await stack.enter_async_context(life(name, setting, children)) for name, setting in SETTINGS.items()
        }
        names = list(SETTINGS)
        for turn in range(turns + 1):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                figures = await lives[name].turn(casts, calls)
                if turn:
                    found[name].append(figures)
    return found
