"""A worker is killed whose children take long to build, and one other takes all of them over: when are they answered?

``python -m benchmarks.slow_starts [CHILDREN] [MILLISECONDS]`` (5,000 children whose ``__init__`` takes 5 ms).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time

from benchmarks.processes import ended, start, wait_for_node
from hubq import Child, ChildSpec, Hub
from hubq.store.connection import AsyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.store.events import read_events
from hubq.store.membership import read_leases, redis_time_ms

CHILDREN, MILLISECONDS = 5_000, 5.0


def make_hub(hub_id: str, url: str | None = None) -> Hub:
    """The hub of the test, as worker and client see it."""
    made = Hub(hub_id, redis=url)
    made.child(Slow)
    return made


class Slow(Child):
    """Its ``__init__`` blocks. (On a busy machine a sleep takes longer than it should: what it took is counted.)"""

    all_of_them = 0.0

    def __init__(self, seconds: float) -> None:
        began = time.perf_counter()
        self.total = 0
        time.sleep(seconds)
        Slow.all_of_them += time.perf_counter() - began

    async def add(self, n: int) -> int:
        self.total += n
        return self.total

    async def spent(self) -> float:
        """What all ``__init__`` of this process have taken, seconds."""
        return Slow.all_of_them


def _worker(hub: Hub, name: str, url: str) -> subprocess.Popen[bytes]:
    return start(
        "-m", "hubq", "worker", "benchmarks.slow_starts:hub", "--name", name,
        HUBQ_REDIS_URL=url, HUBQ_SLOW_STARTS=hub.hub_id,
    )  # fmt: skip


async def measure(url: str, hub_id: str, children: int, seconds: float) -> dict[str, float]:
    """From the end of the dead node's lease to the first and to the last of its children's answers, seconds; all of them
    were called right after the kill. And how many evictions there were, and how many children were parked.
    """
    hub = make_hub(hub_id, url)
    redis = AsyncRedis(hub.server)
    workers = {"a": _worker(hub, "a", url)}
    try:
        await wait_for_node(hub, "a", workers["a"], 64)
        names = [f"child-{n}" for n in range(children)]
        await hub.aio.start_children(
            [ChildSpec(name, Slow, (seconds,)) for name in names], timeout=4 * children * seconds + 30
        )
        await asyncio.gather(*(hub.aio.ref(name).call("add", 1, timeout=60) for name in names))
        workers["a"].send_signal(signal.SIGKILL)
        leases, now = await redis.run_many([read_leases(hub.keys), redis_time_ms()])
        loop = asyncio.get_running_loop()
        lease_end = loop.time() + (leases["a"] - now) / 1000
        workers["b"] = _worker(hub, "b", url)
        answered: list[float] = []

        async def ask(child: str) -> None:
            if await hub.aio.ref(child).call("add", 1, timeout=4 * children * seconds + 60) != 2:
                raise RuntimeError(f"{child} has lost its state")
            answered.append(loop.time() - lease_end)

        await asyncio.gather(*map(ask, names))
        events = [event["type"] for _, event in await redis.run(read_events(hub.keys, "0", 100_000))]
        return {
            "children": children, "init_s": await hub.aio.ref(names[0]).call("spent"), "first_s": min(answered),
            "half_s": sorted(answered)[children // 2], "last_s": max(answered),
            "evictions": events.count("node_evicted"), "parked": events.count("child_parked") + events.count("poisoned"),
        }  # fmt: skip
    finally:
        for worker in workers.values():
            await ended(worker)
        await redis.close()
        await hub.aio.close()


async def main(children: int, milliseconds: float) -> None:
    """Measure with a Redis of its own, and print."""
    with EmbeddedServer() as server:
        figures = await measure(server.url, "slow-starts", children, milliseconds / 1000)
    for name, figure in figures.items():
        print(f"{name:10} {figure:g}")
    print(f"{'last/init':10} {figures['last_s'] / figures['init_s']:.2f}")


if "HUBQ_SLOW_STARTS" in os.environ:
    hub = make_hub(os.environ["HUBQ_SLOW_STARTS"])

if __name__ == "__main__":
    asyncio.run(
        main(*(kind(part) for kind, part in zip((int, float), sys.argv[1:] or (CHILDREN, MILLISECONDS), strict=False)))
    )
