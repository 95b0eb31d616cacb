"""Children whose start seems to have taken workers down: not started until they are replayed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import Hub, Replication
from hubq.core.hashing import shard_of
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.tries import TOOK_DOWN
from hubq.testing import Cluster, LedgerChild, eventually, probe


async def condemn(hub: Hub, child: str) -> None:
    """As if its start had taken three workers down."""
    keys, shard = hub.keys, shard_of(child, hub.config.shards)
    reason = f"{TOOK_DOWN} 3 workers (x#1 x#2 x#3): mend it, then `hubq dead replay`"
    letter = {"kind": "start", "child": child, "method": "", "id": "", "reply_to": "", "deadline": "0", "payload": ""}
    letter |= {"entry": "-", "class": "LedgerChild", "tries": "3", "crashes": "x#1 x#2 x#3"}
    words = [word for pair in letter.items() for word in pair]
    redis = AsyncRedis(hub.server)
    await redis.run(plain("HSET", keys.parked(shard), child, reason, read=int))
    await redis.run(plain("XADD", keys.dead(shard), "*", *words, read=bytes))
    await redis.close()


def test_a_new_copy_of_a_child_that_is_started_again_has_its_state(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1, redundancy=Replication(2, "active_passive"))
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("child", LedgerChild)
            await hub.aio.ref("child").call("record", "x", 1)
            await cluster.drain("a")
            await condemn(hub, "child")
            await cluster.start("b")
            follower = await cluster.start("c")
            await eventually(lambda: probe(follower).shards_followed, 20, "c follows")
            assert probe(follower).copies() == [], "its start might take this node down, too"
            await hub.aio.replay_dead()
            assert await hub.aio.ref("child").call("entries", timeout=10) == {"x": [1]}
            await eventually(probe(follower).copies, 10, "it has a copy")
            (copy,) = probe(follower).copies()
            assert copy.instance is not None and copy.instance.applied == {"x": [1]}

    asyncio.run(scenario())


def test_a_parked_child_that_stays_when_its_shard_goes_can_be_started_again(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        children = [next(f"c{n}" for n in range(100) if shard_of(f"c{n}", 2) == shard) for shard in range(2)]
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in children:
                await hub.aio.start_child(child, LedgerChild)
            await cluster.drain("a")
            for child in children:
                await condemn(hub, child)
            node = await cluster.start("a")
            await eventually(lambda: len(probe(node).children()) == 2, 10, "a has both")
            for child in children:
                await hub.aio.move(child, "a")
            await cluster.start("b")
            await eventually(lambda: probe(node).children_apart, 20, "one shard goes, its child stays")
            assert len(await hub.aio.replay_dead()) == 2
            for child in children:
                assert await hub.aio.ref(child).call("entries", timeout=10) == {}

    asyncio.run(scenario())


BUILT: list[str] = []


class Counted(LedgerChild):
    def __init__(self) -> None:
        super().__init__()
        BUILT.append(self.node_name)


@pytest.mark.parametrize("how", ["a node joins", "by hand"])
def test_a_condemned_child_is_not_built_where_its_shard_goes(make_hub: Any, how: str) -> None:
    """Its `__init__` might take that node down, too, and the next one, at each deploy."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        children = [next(f"c{n}" for n in range(100) if shard_of(f"c{n}", 2) == shard) for shard in range(2)]
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in children:
                await hub.aio.start_child(child, Counted)
            await cluster.drain("a")
            for child in children:
                await condemn(hub, child)
            BUILT.clear()
            await cluster.start("b")
            await cluster.settled()
            node = await cluster.start("c")
            await cluster.settled()
            if how == "by hand":
                for child in children:
                    await hub.aio.move(child, "c")
            await eventually(lambda: probe(node).children(), 20, "c has one of them")
            assert BUILT == []
            assert {place.status for place in await hub.aio.children()} == {"parked"}
            assert len(await hub.aio.replay_dead()) == 2
            for child in children:
                assert await hub.aio.ref(child).call("entries", timeout=10) == {}
            assert len(BUILT) >= 2

    asyncio.run(scenario())
