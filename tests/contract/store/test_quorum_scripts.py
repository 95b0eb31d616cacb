"""The quorum in Redis: who may write it down, what is refused while there is none, what is forgotten."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from hubq import AlreadyStarted, ChildSpec, Divergence, HubqError, MajorityQuorum, Partitioned, StaticQuorum
from hubq.core.quorum import Roll
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis, SyncRedis
from hubq.store.quorum import read_epoch, read_partitioned, read_roll, roll_of, settle_quorum, written
from hubq.testing import Cluster, LedgerChild, eventually, probe, start_children
from hubq.testing.strays import stray_keys


def test_a_late_writer_undoes_nothing(make_hub: Any) -> None:
    """The members have changed, or somebody has decided since: what was seen before counts no more."""

    async def scenario() -> None:
        keys = make_hub().keys
        redis = AsyncRedis(make_hub().server)

        def settle(epoch: int, before: bytes, after: Roll, why: str, **event: object) -> Any:
            return redis.run(settle_quorum(keys, epoch, before, after, why, event, 100))

        await redis.run(plain("SET", keys.epoch, "7", read=str))
        assert await redis.run(read_epoch(keys)) == 7 and await redis.run(read_roll(keys)) == b""
        one, two = Roll(changes=1, members=("a 1",)), Roll(changes=2, partitioned_since=5, members=("a 1",))
        assert not await settle(6, b"", one, "", type="x"), "an older view"
        assert await settle(7, b"", one, "", type="x")
        assert await settle(7, b"", one, "", type="x"), "the same request again is no other"
        assert not await settle(7, b"", two, "why", type="y"), "somebody was first"
        assert await settle(7, written(one), two, "why", type="y")
        assert await redis.run(read_partitioned(keys)) == "why"
        # As frozen before it wrote, while the hub was locked and unlocked at one and the same epoch.
        three = replace(one, changes=3)
        assert await settle(7, written(two), three, "")
        assert not await settle(7, written(one), two, "why", type="y")
        await redis.run(plain("SET", keys.epoch, "8", read=str))
        assert not await settle(7, written(three), replace(two, changes=4), "why")
        assert await redis.run(read_partitioned(keys)) == ""
        assert roll_of(await redis.run(read_roll(keys))) == three
        assert await redis.run(plain("XLEN", keys.events, read=int)) == 2
        await redis.close()

    asyncio.run(scenario())


def test_starts_and_stops_are_refused_and_leave_nothing(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4)
        redis = AsyncRedis(hub.server)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start_children(hub, LedgerChild, 3)
            await redis.run(
                plain("SET", hub.keys.partitioned, "since noon: 1 live nodes, the quorum is 2 (X)", read=str)
            )
            assert await hub.aio.is_partitioned() and await asyncio.to_thread(hub.is_partitioned)
            for refused in (
                hub.aio.start_child("new", LedgerChild),
                hub.aio.start_children([ChildSpec("new", LedgerChild), ChildSpec("newer", LedgerChild)]),
                hub.aio.start_children(
                    [ChildSpec("new", LedgerChild), ChildSpec("newer", LedgerChild)], on_failure="rollback"
                ),
                hub.aio.stop_child("child-0"),
            ):
                with pytest.raises(Partitioned, match="no quorum since noon: 1 live nodes, the quorum is 2"):
                    await refused
            stopped = await hub.aio.stop_children(["child-0", "nobody"])
            assert {child: type(error).__name__ for child, error in stopped.errors.items()} == {
                "child-0": "Partitioned", "nobody": "UnknownChild"
            }  # fmt: skip
            with pytest.raises(AlreadyStarted):
                await hub.aio.start_child("child-0", LedgerChild)
            mixed = await hub.aio.start_children([ChildSpec("child-1", LedgerChild), ChildSpec("new", LedgerChild)])
            assert {child: type(error).__name__ for child, error in mixed.errors.items()} == {
                "child-1": "AlreadyStarted", "new": "Partitioned"
            }  # fmt: skip
            there = await hub.aio.start_children(
                [ChildSpec("child-1", LedgerChild), ChildSpec("new", LedgerChild)], check_existing=False
            )
            assert set(there.started) == {"child-1"} and set(there.errors) == {"new"}
            assert [child.child_id for child in await hub.aio.children()] == ["child-0", "child-1", "child-2"]
            await redis.run(plain("DEL", hub.keys.partitioned, read=int))
            assert not await hub.aio.is_partitioned()
            await hub.aio.start_child("new", LedgerChild)
            await hub.aio.stop_child("child-0")
        await redis.close()

    asyncio.run(scenario())


def test_divergence_writes_nothing_down_and_forgets_what_others_have(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2)
        assert isinstance(hub.partition_tolerance, Divergence)
        redis = AsyncRedis(hub.server)
        await redis.run(plain("SET", hub.keys.partitioned, "since noon", read=str))
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            assert not probe(node).counts_nodes

            async def forgotten() -> bool:
                return not await hub.aio.is_partitioned()

            await eventually(forgotten, 10.0, "the next view decides")
            await start_children(hub, LedgerChild, 1)
            await cluster.drain("a")
            with pytest.raises(HubqError, match="keeps no quorum"):
                await hub.aio.reset_cluster_size()
        assert await redis.run(read_roll(hub.keys)) == b""
        await redis.close()

    asyncio.run(scenario())


def test_a_majority_is_reset_when_the_cluster_was_made_smaller(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, partition_tolerance=MajorityQuorum())
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c")
            await cluster.settled()
            await start_children(hub, LedgerChild, 4)
            await cluster.drain("b")
            assert not await hub.aio.is_partitioned()
            await cluster.drain("c")
            await partitioned(hub, True)
            with pytest.raises(Partitioned):
                await hub.aio.start_child("new", LedgerChild)
            assert await hub.aio.reset_cluster_size() == 1
            await partitioned(hub, False)
            await hub.aio.start_child("new", LedgerChild)
            redis = AsyncRedis(hub.server)
            assert roll_of(await redis.run(read_roll(hub.keys))).ever == 1
            await redis.close()

    asyncio.run(scenario())


def test_the_key_outlives_nobody(make_hub: Any) -> None:
    """All nodes have gone while it stood: the next one decides. What is left belongs to the hub."""

    async def scenario() -> None:
        hub = make_hub(shards=2, partition_tolerance=StaticQuorum(2))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            await start_children(hub, LedgerChild, 2)
            await cluster.drain("b")
            await partitioned(hub, True)
            await cluster.drain("a")
            assert await hub.aio.is_partitioned(), "nobody is there to decide otherwise"
            await cluster.start("c")
            await partitioned(hub, False)
            await hub.aio.start_child("new", LedgerChild)
            await hub.aio.stop_children(["child-0", "child-1", "new"])
            await cluster.drain("c")
        redis = SyncRedis(hub.server)
        assert stray_keys(redis, hub.hub_id, 2) == []
        redis.close()

    asyncio.run(scenario())


def test_startup_confirm_waits_for_the_quorum(make_hub: Any) -> None:
    async def scenario() -> None:
        strategy = StaticQuorum(2, startup_confirm=True)
        static = [ChildSpec("static", LedgerChild)]
        hub = make_hub(shards=2, partition_tolerance=strategy, child_specs=static)
        hub.child(LedgerChild)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await partitioned(hub, True)
            await cluster.settled_shards()
            assert probe(cluster.nodes["a"]).children() == []
            _, (lost,) = await asyncio.to_thread(hub.inspect.events, 9, ("quorum_lost",))
            assert lost.fields["nodes"] == "1" and "the quorum is 2 (StaticQuorum)" in lost.fields["why"]
            await cluster.start("b")
            await partitioned(hub, False)
            await hub.aio.start_child("new", LedgerChild)

            async def started() -> bool:
                return [child.status for child in await hub.aio.children(match="static")] == ["running"]

            await eventually(started, 10.0, "static children are started when there is a quorum")

    asyncio.run(scenario())


async def partitioned(hub: Any, expected: bool) -> None:
    async def as_expected() -> bool:
        return bool(await hub.aio.is_partitioned()) is expected

    await eventually(as_expected, 15.0, f"partitioned: {expected}")
