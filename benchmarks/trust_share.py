"""What the seal is of a call's CPU: of client, worker and Redis together, with one caller and at half load.

The same three processes make calls that are sealed and calls that are not, in turns: so what else the machine does disturbs both alike,
and no difference is one between two processes. What is measured is the mean difference of two turns, one behind the other, without the
fifth of them at each end. A minute tells it to one or two per cent of a call, on a busy machine too. All begin anew a few times.

``python -m benchmarks.trust_share sign`` measures one form of the seal, ``encrypt`` the other.
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
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import mean

from benchmarks.app import HUB_ID
from benchmarks.pace import Pace
from benchmarks.processes import LOG, ROOT, ended, start_worker, wait_for_node
from benchmarks.usage import cpu_seconds
from hubq import Child, Hub
from hubq.store.embedded import EmbeddedServer
from hubq.store.keyring import Keyring, new_keys

CHILDREN, SHARDS, IN_FLIGHT, TICK = 16, 4, 500, 0.005
#: How often all processes begin anew; pairs of turns each time, and calls of one turn.
LIVES, PAIRS, CALLS = 4, 60, 40
#: So many times the pairs are drawn anew, for how far to trust their mean.
DRAWN = 400
CLIENT = "import asyncio; from benchmarks.trust_share import serve_turns; asyncio.run(serve_turns())"
WHATS = ("one caller", "half load")
#: The forms of the seal.
FORMS = ("encrypt", "sign")

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

    async def switch(self, writes: bool) -> None:
        """From now on what this process writes is sealed, or not."""
        _switch(writes)


def make_hub(redis: str | None = None) -> Hub:
    """The hub of this process; codec, seal and keys come from the environment."""
    made = Hub(os.environ.get(HUB_ID, "trust"), redis=redis, shards=SHARDS)
    made.child(Room)
    return made


hub = make_hub()


def _switch(writes: bool) -> None:
    seal = hub.driver.context.seal
    assert seal is not None
    seal.writes = writes


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
    """Do what the lines of the standard input ask for: whether it is sealed, calls, and calls per second (0: one by one, -1: as many
    as go).
    """
    for number in range(CHILDREN):
        await hub.aio.start_child(f"room-{number}", Room)
    print("up", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        writes, calls, rate = json.loads(line)
        await hub.aio.ref(Room, "room-0").call(Room.switch, writes)
        _switch(writes)
        began = time.perf_counter()
        await (at_rate(calls, rate) if rate > 0 else full(calls) if rate else one_by_one(calls))
        print(calls / (time.perf_counter() - began), flush=True)
    await hub.aio.close()


# -- the turns -----------------------------------------------------------------------------------------------------


@dataclass
class Side:
    """A hub, its worker and its client. ``pairs``: what a call has cost without the seal and with it, by load."""

    worker: int
    client: subprocess.Popen[str]
    redis: int
    pairs: dict[str, list[tuple[Parts, Parts]]] = field(default_factory=dict)

    def _now(self) -> Parts:
        return cpu_seconds(self.client.pid), cpu_seconds(self.worker), cpu_seconds(self.redis)

    def ask(self, writes: bool, calls: int, rate: float) -> float:
        """Have calls made, and wait for their end: calls per second."""
        assert self.client.stdin is not None and self.client.stdout is not None
        print(json.dumps([writes, calls, rate]), file=self.client.stdin, flush=True)
        answer = self.client.stdout.readline()
        if not answer:
            raise RuntimeError(f"the client ended: see {LOG}")
        return float(answer)

    def _turn(self, writes: bool, calls: int, rate: float) -> Parts:
        """The same, counted: µs of client, worker and Redis for each call (the one that switches is one, too)."""
        self.ask(writes, calls // 8, rate)
        before = self._now()
        self.ask(writes, calls, rate)
        client, worker, redis = (
            (now - then) / (calls + 1) * 1e6 for now, then in zip(self._now(), before, strict=True)
        )
        return client, worker, redis

    def pair(self, what: str, calls: int, rate: float) -> None:
        """A turn without the seal and one with it, either of them first."""
        first = random.random() < 0.5
        cost = {writes: self._turn(writes, calls, rate) for writes in (first, not first)}
        self.pairs.setdefault(what, []).append((cost[False], cost[True]))


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


async def one_life(seed: int, form: str) -> dict[str, list[tuple[Parts, Parts]]]:
    """Begin all processes, let them have their turns, end them: the pairs of each load. ``half load``: half of the calls per second
    that go without a seal. ``seed``: that of Python's hashes; ``form``: of the seal.
    """
    root = new_keys()
    settings = {
        "HUBQ_CODEC": "data",
        "HUBQ_SEAL": "write",
        "HUBQ_SEAL_FORM": form,
        "HUBQ_KEYS": root,
        "PYTHONHASHSEED": str(seed),
    }
    shop = {"HUBQ_CLIENT": "shop", "HUBQ_KEYS": Keyring.read(root).derive("shop")}
    with EmbeddedServer() as server:
        async with side(server, "trust", settings, shop) as each:
            each.ask(False, 5 * CALLS, 0)
            rate = max(each.ask(False, 25 * CALLS, -1) for _ in range(3)) / 2
            for _ in range(PAIRS):
                for what, calls, asked in zip(WHATS, (CALLS, 3 * CALLS), (0.0, rate), strict=True):
                    each.pair(what, calls, asked)
            print(f"half load: {rate:.0f} calls/s", file=sys.stderr)
            return each.pairs


def middle(values: Sequence[float]) -> float:
    """The mean without the fifth at each end."""
    cut = len(values) // 5
    return mean(sorted(values)[cut : len(values) - cut])


def report(form: str) -> None:
    """Measure; print what a call costs without the seal, and what the seal adds: in µs, as a share of the call with it (the goal is one
    of six per cent), and as a share of the call without it, with where 19 of 20 such measurements would lie.
    """
    lives = [asyncio.run(one_life(seed, form)) for seed in range(LIVES)]
    print(f"{'CPU, us, ' + form:<22}{'without':>8}{'seal':>8}{'share':>8}{'added':>8}{'19 of 20':>20}")
    for what in WHATS:
        pairs = [pair for life in lives for pair in life[what]]
        for name, parts in (("client", (0,)), ("worker", (1,)), ("Redis", (2,)), ("all", (0, 1, 2))):
            without = middle([sum(plain[part] for part in parts) for plain, _ in pairs])
            added = [sum(sealed[part] - plain[part] for part in parts) for plain, sealed in pairs]
            drawn = sorted(middle(random.choices(added, k=len(added))) for _ in range(DRAWN))
            low, high = drawn[DRAWN // 40], drawn[-1 - DRAWN // 40]
            print(
                f"{what + ', ' + name:<22}{without:>8.0f}{middle(added):>8.1f}{middle(added) / (without + middle(added)):>8.1%}"
                f"{middle(added) / without:>+8.1%}{low / without:>+12.1%} to {high / without:+.1%}"
            )


if __name__ == "__main__":
    for asked in sys.argv[1:] or FORMS:
        report(asked)
