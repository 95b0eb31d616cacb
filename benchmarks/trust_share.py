"""What the seal is of a call's CPU: of client, worker and Redis together, with one caller and at half load.

Each hub has a worker and a client process of its own, and all have one Redis. They work in turns, so that what else the machine does
disturbs all alike. One hub has `codec="data"`; one has the seal besides; a third is the first again, and says how far to trust the figures.
Two processes that do the same differ by some per cent for as long as they live: so all begin anew a few times.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from statistics import mean, median

from benchmarks.app import HUB_ID
from benchmarks.pace import Pace
from benchmarks.processes import LOG, ROOT, ended, start_worker, wait_for_node
from benchmarks.usage import cpu_seconds
from hubq import Child, Hub
from hubq.store.embedded import EmbeddedServer
from hubq.store.keyring import Keyring, new_keys

CHILDREN, SHARDS, IN_FLIGHT, TICK = 16, 4, 500, 0.005
#: How often all processes begin anew; turns of each hub each time, and calls of one turn.
LIVES, TURNS, CALLS = 4, 20, 40
CLIENT = "import asyncio; from benchmarks.trust_share import serve_turns; asyncio.run(serve_turns())"
DATA, AGAIN, SEALED = "data", "data again", "data and seal"
WHATS = ("one caller", "half load")

#: µs of client, worker and Redis for a call.
Parts = tuple[float, float, float]


@dataclass
class Post:
    """What is said."""

    who: str
    text: str
    at: float


class Room(Child):
    """Its state changes with each call, so it is saved with each: five values are sealed or opened."""

    def __init__(self) -> None:
        self.count = 0

    async def post(self, post: Post, times: int = 1) -> int:
        """Count it."""
        self.count += times
        return self.count


def make_hub(redis: str | None = None) -> Hub:
    """The hub of this process; codec, seal and keys come from the environment."""
    made = Hub(os.environ.get(HUB_ID, "trust"), redis=redis, shards=SHARDS)
    made.child(Room)
    return made


hub = make_hub()


# -- the client ----------------------------------------------------------------------------------------------------


async def one_by_one(calls: int) -> None:
    """One caller, one call after another."""
    await _in_turn(range(calls))


async def full(calls: int) -> None:
    """As many callers as children, each with a child of its own."""
    await asyncio.gather(*(_in_turn(range(child, calls, CHILDREN)) for child in range(CHILDREN)))


async def at_rate(calls: int, rate: float) -> None:
    """So many calls per second, as a tick's worth at a time."""
    pace, sent = Pace(rate, IN_FLIGHT, time.perf_counter()), set[asyncio.Task[None]]()
    while pace.total < calls:
        before, due = pace.total, pace.due(time.perf_counter())
        sent.update(asyncio.create_task(_call(number)) for number in range(before, min(before + due, calls)))
        await asyncio.sleep(TICK)
    await asyncio.gather(*sent)


async def _in_turn(numbers: range) -> None:
    for number in numbers:
        await _call(number)


async def _call(number: int) -> None:
    await hub.aio.ref(Room, f"room-{number % CHILDREN}").call(Room.post, Post("ann", "x" * 150, 1.5))


async def serve_turns() -> None:
    """Do what the lines of the standard input ask for: calls and calls per second (0: one by one, -1: as many as go)."""
    for number in range(CHILDREN):
        await hub.aio.start_child(f"room-{number}", Room)
    print("up", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        calls, rate = json.loads(line)
        began = time.perf_counter()
        await (at_rate(calls, rate) if rate > 0 else full(calls) if rate else one_by_one(calls))
        print(calls / (time.perf_counter() - began), flush=True)
    await hub.aio.close()


# -- the turns -----------------------------------------------------------------------------------------------------


@dataclass
class Side:
    """A hub, its worker and its client."""

    worker: int
    client: subprocess.Popen[str]
    redis: int
    costs: dict[str, list[Parts]] = field(default_factory=dict)

    def _now(self) -> Parts:
        return cpu_seconds(self.client.pid), cpu_seconds(self.worker), cpu_seconds(self.redis)

    def ask(self, calls: int, rate: float) -> float:
        """Have calls made, and wait for their end: calls per second."""
        assert self.client.stdin is not None and self.client.stdout is not None
        print(json.dumps([calls, rate]), file=self.client.stdin, flush=True)
        answer = self.client.stdout.readline()
        if not answer:
            raise RuntimeError(f"the client ended: see {LOG}")
        return float(answer)

    def turn(self, what: str, calls: int, rate: float) -> None:
        """The same, counted: µs of client, worker and Redis for each call."""
        self.ask(calls // 10, rate)
        before = self._now()
        self.ask(calls, rate)
        client, worker, redis = ((now - then) / calls * 1e6 for now, then in zip(self._now(), before, strict=True))
        self.costs.setdefault(what, []).append((client, worker, redis))

    def us(self, what: str) -> Parts:
        """The medians."""
        client, worker, redis = (median(each) for each in zip(*self.costs[what], strict=True))
        return client, worker, redis


@contextlib.contextmanager
def client_process(url: str, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that makes calls when it is asked to."""
    with (
        LOG.open("a") as log,
        subprocess.Popen(
            [sys.executable, "-c", CLIENT], cwd=ROOT, text=True, stderr=log,
            env={**os.environ, "HUBQ_REDIS_URL": url, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as process,
    ):  # fmt: skip
        assert process.stdin is not None and process.stdout is not None
        if process.stdout.readline() != "up\n":
            raise RuntimeError(f"the client did not come up: see {LOG}")
        yield process
        process.stdin.close()


@contextlib.asynccontextmanager
async def side(
    server: EmbeddedServer, hub_id: str, settings: dict[str, str], client: dict[str, str]
) -> AsyncIterator[Side]:
    """A hub with a worker and a client, who have these settings."""
    looks = Hub(hub_id, redis=server.url, shards=SHARDS)
    worker = start_worker(looks, server.url, "a", app="benchmarks.trust_share:hub", **settings)
    try:
        await wait_for_node(looks, "a", worker, SHARDS)
        with client_process(server.url, {**settings, **client, HUB_ID: hub_id}) as process:
            assert server.pid is not None
            yield Side(worker.pid, process, server.pid)
    finally:
        await ended(worker)
        await looks.aio.close()


async def one_life(seed: int) -> dict[tuple[str, str], Parts]:
    """Begin all processes, let them have their turns, end them: µs by load and hub. ``half load``: half of the calls per second that
    the first can do. ``seed``: that of Python's hashes, the same for all.
    """
    root, data = new_keys(), {"HUBQ_CODEC": "data", "PYTHONHASHSEED": str(seed)}
    sealed = data | {"HUBQ_SEAL": "require", "HUBQ_KEYS": root}
    shop = {"HUBQ_CLIENT": "shop", "HUBQ_KEYS": Keyring.read(root).derive("shop")}
    kinds = {DATA: (data, {}), AGAIN: (data, {}), SEALED: (sealed, shop)}
    with EmbeddedServer() as server:
        async with contextlib.AsyncExitStack() as stack:
            sides = {
                name: await stack.enter_async_context(side(server, f"trust-{number}", *settings))
                for number, (name, settings) in enumerate(kinds.items())
            }
            for each in sides.values():
                each.ask(5 * CALLS, 0)
            rate = max(sides[DATA].ask(25 * CALLS, -1) for _ in range(3)) / 2
            for _ in range(TURNS):
                for what, calls, asked in zip(WHATS, (CALLS, 2 * CALLS), (0.0, rate), strict=True):
                    for name in random.sample(list(sides), len(sides)):
                        sides[name].turn(what, calls, asked)
            print(f"half load: {rate:.0f} calls/s", file=sys.stderr)
            return {(what, name): each.us(what) for what in WHATS for name, each in sides.items()}


def report() -> None:
    """Measure; print what each hub's calls cost, and what that is of those without a seal: the mean, and from least to most."""
    lives = [asyncio.run(one_life(seed)) for seed in range(LIVES)]
    print(f"{'CPU of a call, us':<28}{'client':>8}{'worker':>8}{'Redis':>8}{'all':>8}")
    for what in WHATS:
        for name in (DATA, AGAIN, SEALED):
            us = [mean(life[what, name][part] for life in lives) for part in range(3)]
            print(f"{what + ', ' + name:<28}" + "".join(f"{part:>8.0f}" for part in (*us, sum(us))))
        for name, of in ((AGAIN, (DATA,)), (SEALED, (DATA, AGAIN))):
            shares = [sum(life[what, name]) / mean(sum(life[what, base]) for base in of) - 1 for life in lives]
            print(f"    {name}: {mean(shares):+.1%} ({min(shares):+.1%} to {max(shares):+.1%})")
