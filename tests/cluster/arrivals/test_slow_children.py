"""Children that are slow to build, and hubs with many shards: a node that takes them over serves."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hubq import ChildSpec, HotSwap, Hub
from hubq.core.hashing import shard_of
from hubq.node.node import Node
from hubq.store.answers import KEY_ROUNDS
from hubq.store.command import Command
from hubq.store.connection import AsyncRedis, Server
from hubq.store.events import read_events
from hubq.store.malformed import MalformedWatch
from hubq.store.primary import PrimaryWatch
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, probe


class SlowChild(LedgerChild):
    """Its ``__init__`` blocks the loop for 5 ms."""

    def __init__(self) -> None:
        super().__init__()
        time.sleep(0.005)


def test_many_slow_children_of_a_dead_node_are_taken_over_by_one_node_that_keeps_its_lease(real_server: Any) -> None:
    """All of them together take more than twice the lease to build."""

    async def scenario() -> None:
        hub = Hub("slow-children", redis=real_server, lease=1.5, lease_margin=0.3, heartbeat=0.1)
        hub.child(SlowChild)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            names = [f"child-{n}" for n in range(700)]
            result = await hub.aio.start_children([ChildSpec(name, SlowChild) for name in names], timeout=60)
            assert len(result.started) == len(names)
            await asyncio.gather(*(ledger.call("before", name) for name in names[::20]))
            b = cluster.start("b")
            await cluster.kill("a")
            await b
            await asyncio.gather(*(ledger.call("after", name, timeout=60) for name in names))
            assert await cluster.settled(60) == {"b": 64}
            redis = probe(cluster.nodes["b"]).connection
            kinds = Counter(event["type"] for _, event in await redis.run(read_events(hub.keys, "0", 100_000)))
            assert kinds["node_evicted"] == 1 and kinds["node_joined"] == 2, kinds
            assert not kinds["child_parked"] and not kinds["poisoned"], kinds
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


class SlowerChild(LedgerChild):
    """Its ``__init__`` blocks the loop for 50 ms."""

    def __init__(self) -> None:
        super().__init__()
        time.sleep(0.05)


def test_a_shard_that_takes_longer_to_build_than_the_migration_waits_moves_live(
    real_server: Any,
) -> None:
    """Children are built one after the other: the target says that it goes on, and the source waits."""

    async def scenario() -> None:
        hub = Hub(
            "slow-move", redis=real_server, shards=2, lease=5.0, lease_margin=0.4, heartbeat=0.1,
            migration=HotSwap(child_migration_timeout=1.5),
        )  # fmt: skip
        hub.child(SlowerChild)
        ledger = Ledger(hub)
        names = [name for name in (f"child-{n}" for n in range(200)) if shard_of(name, 2) == 0][:60]
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            result = await hub.aio.start_children([ChildSpec(name, SlowerChild) for name in names], timeout=60)
            assert len(result.started) == len(names) == 60
            await asyncio.gather(*(ledger.call("before", name) for name in names))
            await cluster.start("b")
            await cluster.drain("a", timeout=30)
            await asyncio.gather(*(ledger.call("after", name) for name in names))
            redis = probe(cluster.nodes["b"]).connection
            kinds = Counter(event["type"] for _, event in await redis.run(read_events(hub.keys, "0", 100_000)))
            assert not kinds["handover_overdue"] and not kinds["shards_claimed"] - 1, kinds
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


class Counted(AsyncRedis):
    """Counts what is sent to Redis."""

    sent: Counter[str]

    async def _attempt(self, commands: Sequence[Command[Any]], changes: int, rounds: int = KEY_ROUNDS) -> list[Any]:
        for command in commands:
            self.sent[str(command.args[0])] += 1
            if command.args[0] == "HGETALL" and str(command.args[1]).endswith(":owners"):
                self.sent["owners"] += 1
        return await super()._attempt(commands, changes, rounds)


def test_what_a_node_asks_redis_for_grows_with_its_shards_and_not_with_their_square(real_server: Any) -> None:
    async def served(shards: int) -> Counter[str]:
        """What a node has sent by the time that it serves all shards of an empty hub."""
        sent: Counter[str] = Counter()

        def connect(
            server: Server, *, watch: PrimaryWatch | None = None, malformed: MalformedWatch | None = None
        ) -> AsyncRedis:
            made = Counted(server, watch=watch, malformed=malformed)
            made.sent = sent
            return made

        hub = Hub(f"shards-{shards}", redis=real_server, shards=shards, lease=10.0, heartbeat=1.0)
        node = Node(hub, "a", connect=connect)
        try:
            await node.start()
            await eventually(lambda: len(probe(node).shards_open) == shards, 60, f"all {shards} shards are served")
            return sent
        finally:
            await node.kill()
            await hub.aio.close()
            hub.close()

    async def scenario() -> None:
        few, many = await served(256), await served(2_048)
        for sent, shards in ((few, 256), (many, 2_048)):
            assert sent["HGETALL"] < 6 * shards and sent["HMGET"] < 2 * shards, sent
            assert sent["XADD"] < 2 * shards and sent["XREAD"] < shards, sent
            assert sent["owners"] < 256, sent  # (they are read once for all, and when the plan is looked at)

    asyncio.run(scenario())
