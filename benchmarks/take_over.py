"""``python -m benchmarks.take_over``: a worker is killed; how long after the end of its lease is a child answered again?"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys

from benchmarks.processes import ended, start, wait_for_node
from hubq import Child, ChildSpec, Hub, Replication, Singularity
from hubq.store.connection import AsyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.store.membership import read_leases, redis_time_ms
from hubq.strategies.redundancy import Redundancy

CHILDREN = 1000
ROUNDS = 3
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


async def measure(url: str, strategy: str, number: int) -> tuple[float, float]:
    """Seconds from the end of the dead node's lease to the first and to the last of its children's answers."""
    hub = make_hub(f"{strategy}-{number}", strategy, url)
    workers = {}
    redis = AsyncRedis(hub.server)
    try:
        for name, shards in (("a", 64), ("b", 32)):
            workers[name] = start(
                "-m", "hubq", "worker", "benchmarks.take_over:hub", "--name", name,
                HUBQ_REDIS_URL=url, HUBQ_TAKE_OVER=f"{hub.hub_id}/{strategy}",
            )  # fmt: skip
            await wait_for_node(hub, name, workers[name], shards)
        names = [f"child-{n}" for n in range(CHILDREN)]
        await hub.aio.start_children([ChildSpec(name, Counter) for name in names])
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
            assert await hub.aio.ref(child).call("add", 1, timeout=60) == 2
            answered.append(loop.time() - lease_end)

        await asyncio.gather(*map(ask, lost))
        return min(answered), max(answered)
    finally:
        for worker in workers.values():
            await ended(worker)
        await redis.close()
        await hub.aio.close()


async def main() -> None:
    with EmbeddedServer() as server:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in STRATEGIES}
        for number in range(ROUNDS):
            for strategy in STRATEGIES:
                found[strategy].append(await measure(server.url, strategy, number))
    print(
        f"{CHILDREN} children on 2 workers, one killed; after the end of its lease, ms (median of {ROUNDS}, least, most):"
    )
    for strategy, rounds in found.items():
        for what, figures in zip(("first answer", "last answer"), zip(*rounds, strict=True), strict=True):
            ms = [1000 * figure for figure in figures]
            print(f"  {strategy:15} {what:13} {statistics.median(ms):6.1f}  ({min(ms):.1f} - {max(ms):.1f})")


if "HUBQ_TAKE_OVER" in os.environ:
    hub = make_hub(*os.environ["HUBQ_TAKE_OVER"].split("/"))

if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
