"""``python -m benchmarks.blocked_loop``: one child blocks the loop of its node again and again, as a forgotten ``time.sleep``
does. What it costs the calls of the others, and who names it.

Two workers, 200 children, 500 calls per second; the culprit blocks its loop for 12 s every 20 s, for two minutes. Exit code 1
if a node was evicted, a call failed, or the culprit was not named.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from redis.asyncio import Redis

from benchmarks import processes
from benchmarks.app import Account
from benchmarks.migration import Load, at, events_since
from benchmarks.processes import ended, start, wait_for_node
from hubq import Child, ChildSpec, Hub
from hubq.cli.worker import fastest_loop
from hubq.store.embedded import EmbeddedServer

HUB = "HUBQ_BLOCKED_LOOP"
CULPRIT = "culprit"
#: How it is called in logs and listings.
NAMED = f"{CULPRIT}.block"
#: Seconds of each call.
TIMEOUT = 20.0


class Blocking(Child):
    """Blocks the loop of its node."""

    async def block(self, seconds: float) -> None:
        """Do what no coroutine may do."""
        time.sleep(seconds)  # noqa: ASYNC251  (that is the point)


def make_hub(hub_id: str, lease: float, url: str | None = None) -> Hub:
    """The hub, as workers and client see it. ``lease``: seconds."""
    made = Hub(hub_id, redis=url, lease=lease, lease_margin=lease / 5)
    made.child(Account)
    made.child(Blocking)
    return made


class Blocks:
    """The culprit is called, and its loop is blocked, again and again."""

    def __init__(self, hub: Hub, seconds: float, every: float) -> None:
        self.spans: list[tuple[float, float]] = []
        self.failed: list[str] = []
        self._ref = hub.aio.ref(CULPRIT)
        self._seconds, self._every = seconds, every

    async def run(self, until: float) -> None:
        """Until then (``perf_counter``), and until the last one is over."""
        while (began := time.perf_counter()) < until:
            try:
                await self._ref.call("block", self._seconds, timeout=TIMEOUT)
            except Exception as error:
                self.failed.append(repr(error))
            self.spans.append((began, time.perf_counter()))
            await asyncio.sleep(max(0.0, began + self._every - time.perf_counter()))

    def within(self, began: float) -> bool:
        """Whether the loop was blocked then."""
        return any(since <= began < until for since, until in self.spans)


async def until_named(*command: str, url: str) -> str:
    """What a command prints, run again until it names the culprit."""
    while NAMED not in (text := await said(*command, url=url)):  # noqa: ASYNC110  (another process prints it)
        await asyncio.sleep(0.1)
    return text


async def said(*command: str, url: str) -> str:
    """What a command prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hubq", *command, cwd=processes.ROOT, env={**os.environ, "HUBQ_REDIS_URL": url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


def told(name: str, load: Load, blocks: Blocks) -> None:
    """Print what the calls of some children took, beside the blocked loop and without it."""
    for when, blocked in (("while the loop turned", False), ("while it was blocked", True)):
        times = sorted(took for began, took in load.times if blocks.within(began) is blocked)
        print(
            f"{name}, {when}: {len(times):,} calls, p50 {at(times, 0.5):.1f} ms, p99 {at(times, 0.99):.1f} ms, "
            f"longest {at(times, 1.0):,.0f} ms"
        )


async def main(options: argparse.Namespace) -> int:
    """Block, and tell."""
    with EmbeddedServer() as server:
        hub = make_hub("blocked", options.lease, server.url)
        workers = {}
        try:
            for name, shards in (("a", 64), ("b", 32)):
                workers[name] = start(
                    "-m", "hubq", "worker", "benchmarks.blocked_loop:hub", "--name", name,
                    HUBQ_REDIS_URL=server.url, **{HUB: f"{hub.hub_id}/{options.lease}"},
                )  # fmt: skip
                await wait_for_node(hub, name, workers[name], shards)
            return await _measure(hub, server.url, options)
        finally:
            for worker in workers.values():
                await ended(worker)
            await hub.aio.close()
            processes.LOG.unlink(missing_ok=True)


async def _measure(hub: Hub, url: str, options: argparse.Namespace) -> int:
    names = [f"child-{n}" for n in range(options.children)]
    specs = [ChildSpec(name, Account) for name in names]
    await hub.aio.start_children([*specs, ChildSpec(CULPRIT, Blocking)], timeout=60)
    where = {child.child_id: child.node for child in await hub.aio.children()}
    beside = [name for name in names if where[name] == where[CULPRIT]]
    elsewhere = [name for name in names if where[name] != where[CULPRIT]]
    in_hand = int(options.rate * TIMEOUT)
    loads = [
        Load(hub, some, rate=options.rate * len(some) / len(names), timeout=TIMEOUT, in_hand=in_hand)
        for some in (beside, elsewhere)
    ]
    await asyncio.sleep(min(5.0, options.every))  # what it takes without any block
    blocks = Blocks(hub, options.block, options.every)
    blocking = asyncio.create_task(blocks.run(time.perf_counter() + options.seconds))
    await asyncio.sleep(min(2.0, options.block / 2))
    commands = {"top": ("top", hub.hub_id, "--once"), "doctor": ("doctor", hub.hub_id)}
    asked = {place: asyncio.create_task(until_named(*command, url=url)) for place, command in commands.items()}
    await blocking
    for load in loads:
        await load.stop()
    named = [place for place, task in asked.items() if task.done() and task.result()]
    for task in asked.values():
        task.cancel()
    await asyncio.gather(*asked.values(), return_exceptions=True)
    if NAMED in processes.LOG.read_text():
        named.append("the log")
    async with Redis.from_url(url) as redis:
        events = await events_since(redis, hub, "")
    evicted = sum(fields["type"] == "node_evicted" for _, fields in events)
    failed = [*blocks.failed, *(failure for load in loads for failure in load.failed)]
    calls = sum(len(load.times) for load in loads)
    print(
        f"{len(blocks.spans)} times blocked for {options.block:g} s; {calls:,} calls to {len(names)} children, "
        f"{options.rate:g} per second"
    )
    print(f"evictions {evicted}, failed calls {len(failed)} (time-out {TIMEOUT:g} s)", *failed[:3])
    print(f"{NAMED} is named in: {', '.join(named) or 'nothing'}")
    told("children of the other node", loads[1], blocks)
    told("children beside the culprit", loads[0], blocks)
    return int(bool(evicted or failed or len(named) < len(commands) + 1))


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.blocked_loop")
    parser.add_argument("--seconds", type=float, default=120.0, help="how long, seconds (default 120)")
    parser.add_argument("--block", type=float, default=12.0, help="how long each block lasts, seconds (default 12)")
    parser.add_argument("--every", type=float, default=20.0, help="one begins so often, seconds (default 20)")
    parser.add_argument("--lease", type=float, default=5.0, help="of the nodes, seconds (default 5)")
    parser.add_argument("--children", type=int, default=200)
    parser.add_argument("--rate", type=float, default=500.0, help="calls per second to all of them (default 500)")
    return parser.parse_args()


if HUB in os.environ:
    hub_id, seconds = os.environ[HUB].split("/")
    hub = make_hub(hub_id, float(seconds))

if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        sys.exit(runner.run(main(options())))
