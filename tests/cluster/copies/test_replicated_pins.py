"""Pins in a hub with copies: no follower takes them over, so they are saved in each commit."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq import CallFailed, HotSwap, Replication
from hubq.core.hashing import shard_of
from hubq.testing import Cluster, LedgerChild, eventually, probe

from .test_replication import MODELS, copies, followed, originals, play, start


class Mover(LedgerChild):
    durability = "handover"
    on_error = "keep"
    go: ClassVar[asyncio.Event]
    handled: ClassVar[list[int]] = []

    async def record(self, sender: str, number: int) -> int:
        if sender == "x":
            Mover.handled.append(number)
        return await super().record(sender, number)

    async def fail(self, sender: str, number: int) -> None:
        await self.record(sender, number)
        raise ValueError("on purpose")

    async def hold(self) -> None:
        await Mover.go.wait()


class Saver(Mover):
    durability = "interval"
    save_every = 60.0


@pytest.mark.parametrize("kind", [Mover, Saver])
@pytest.mark.parametrize("model", MODELS)
def test_a_child_moved_by_hand_loses_nothing_that_was_answered(make_hub: Any, model: Any, kind: Any) -> None:
    async def scenario() -> None:
        Mover.handled.clear()
        hub = make_hub(shards=1, lease=1.5, redundancy=Replication(2, model))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c")
            (child, other) = await start(hub, kind, 2)
            await followed(cluster, [child, other], 1)
            ref = hub.aio.ref(child)
            await ref.call("record", "before", 1)
            (standby,), (owner,) = copies(cluster, child), originals(cluster, child)
            (there,) = {"a", "b", "c"} - {standby, owner}
            place = await hub.aio.move(child, there)
            assert place.node == there and place.pinned and place.replicas == ()
            for number in range(4):
                await ref.call("record", "x", number + 1)
            with pytest.raises(CallFailed):
                await ref.call("fail", "x", 5)
            pids, unpinned = await hub.aio.get_pids(child), await hub.aio.get_pids(other)
            assert [pid.node for pid in pids] == [there] and [pid.node for pid in unpinned] == [owner, standby]
            await cluster.kill(there)
            assert await ref.call("entries", timeout=20) == {"before": [1], "x": [1, 2, 3, 4, 5]}
            if model == "active_passive":
                assert Mover.handled == [1, 2, 3, 4, 5], "each once, with durability='interval' too"

    play(scenario)


@pytest.mark.parametrize("kind", [Mover, Saver])
def test_a_straggler_loses_nothing_that_was_answered_before_its_shard_moved(make_hub: Any, kind: Any) -> None:
    async def scenario() -> None:
        Mover.go = asyncio.Event()
        migration = HotSwap(retention=60.0)
        hub = make_hub(shards=2, lease=1.5, redundancy=Replication(2, "active_passive"), migration=migration)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            children = {shard_of(child, 2): child for child in await start(hub, kind, 8)}
            assert len(children) == 2
            for child in children.values():
                await hub.aio.ref(child).call("record", "x", 1)
                await hub.aio.ref(child).call("record", "x", 2)
                await hub.aio.ref(child).cast("hold")
            await eventually(lambda: {*children.values()} <= {*probe(node).busy}, what="both are busy")
            await cluster.start("b")
            pinned = await eventually(lambda: probe(node).children_apart, what="a straggler")
            await cluster.serves({"a": 1, "b": 1})
            await cluster.kill("a")
            Mover.go.set()
            for child in pinned:
                assert await hub.aio.ref(child).call("entries", timeout=20) == {"x": [1, 2]}

    play(scenario)


class Drawer(LedgerChild):
    """Answers before it has saved anything."""

    durability = "interval"
    save_every, save_after = 60.0, 1000


def test_a_new_follower_hears_of_a_child_that_lives_apart_from_its_shard(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1, redundancy=Replication("cluster_size", "active_active"))
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("drawer", Drawer)
            await cluster.start("b")
            await hub.aio.move("drawer", "b")
            await hub.aio.ref("drawer").call("record", "x", 1)
            follower = await cluster.start("c")

            def followed() -> bool:
                copy = probe(follower).copy("drawer")
                return copy is not None and copy.instance is not None and copy.instance.applied == {"x": [1]}

            await eventually(followed, 20, "c has a copy of the child, as it is")

    asyncio.run(scenario())
