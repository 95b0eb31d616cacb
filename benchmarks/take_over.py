"""A worker is killed; how long after the end of its lease are its children answered again?"""

from __future__ import annotations

import asyncio
import os
import signal

from benchmarks.processes import ended, start, wait_for_node
from hubq import Child, ChildSpec, Hub, Replication, Singularity
from hubq.store.connection import AsyncRedis
from hubq.store.membership import read_leases, redis_time_ms
from hubq.strategies.redundancy import Redundancy

STRATEGIES: dict[str, Redundancy] = {
    "singularity": Singularity(),
    "active_passive": Replication(2, "active_passive"),
    "active_active": Replication(2, "active_active"),
}


def make_hub(hub_id: str, strategy: str, url: str | None = None) -> Hub:
    """The hub of the test, as worker and client see it."""
    made = Hub(hub_id, redis=url, redundancy=STRATEGIES[strategy])
    made.child(Counter)
    return made


class Counter(Child):
    """About 200 bytes of state."""

    def __init__(self) -> None:
        self.total, self.notes = 0, ["x" * 20] * 8

    async def add(self, n: int) -> int:
        self.total += n
        return self.total


async def measure(url: str, hub_id: str, strategy: str, children: int) -> dict[str, float]:
    """From the end of the dead node's lease to the first and to the last of its children's answers, ms. All of them were
    called right after the kill.
    """
    hub = make_hub(hub_id, strategy, url)
    workers = {}
    redis = AsyncRedis(hub.server)
    try:
        for name, shards in (("a", 64), ("b", 32)):
            workers[name] = start(
                "-m", "hubq", "worker", "benchmarks.take_over:hub", "--name", name,
                HUBQ_REDIS_URL=url, HUBQ_TAKE_OVER=f"{hub.hub_id}/{strategy}",
            )  # fmt: skip
            await wait_for_node(hub, name, workers[name], shards)
        names = [f"child-{n}" for n in range(children)]
        await hub.aio.start_children([ChildSpec(name, Counter) for name in names], timeout=60)
        await asyncio.gather(*(hub.aio.ref(name).call("add", 1, timeout=30) for name in names))
        lost = [child.child_id for child in await hub.aio.children() if child.node == "b"]
        if strategy != "singularity":
            while not all([(await hub.aio.where(child)).replicas for child in lost]):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        workers["b"].send_signal(signal.SIGKILL)
        leases, now = await redis.run_many([read_leases(hub.keys), redis_time_ms()])
        loop = asyncio.get_running_loop()
        lease_end = loop.time() + (leases["b"] - now) / 1000
        answered: list[float] = []

        async def ask(child: str) -> None:
            if await hub.aio.ref(child).call("add", 1, timeout=60) != 2:
                raise RuntimeError(f"{child} has lost its state")
            answered.append(loop.time() - lease_end)

        await asyncio.gather(*map(ask, lost))
        return {"lost": len(lost), "first_ms": min(answered) * 1000, "last_ms": max(answered) * 1000}
    finally:
        for worker in workers.values():
            await ended(worker)
        await redis.close()
        await hub.aio.close()


if "HUBQ_TAKE_OVER" in os.environ:
    hub = make_hub(*os.environ["HUBQ_TAKE_OVER"].split("/"))
