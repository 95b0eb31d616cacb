"""All-or-nothing starts: sealed or undone, also when the caller dies half way; and the other options of a start."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from hubq import AlreadyStarted, CallTimeout, Child, ChildSpec, Hub, NoChildren, StartFailed, StartResult, StopResult
from hubq.client import operations
from hubq.client.operations import batch
from hubq.store.batches import end_batch, forget_mark, open_batch, read_batch, renew_batch
from hubq.store.command import plain, text
from hubq.store.connection import SyncRedis
from hubq.testing import Cluster, LedgerChild, connections, eventually, probe
from hubq.testing.patching import replaced


class Picky(Child):
    """Cannot start if it is told so."""

    def __init__(self, ok: bool = True) -> None:
        if not ok:
            raise RuntimeError("no such room")


class Unstartable(Child):
    async def on_start(self) -> None:
        raise RuntimeError("no network")


def specs(count: int, *bad: int) -> list[ChildSpec]:
    return [ChildSpec(f"c{n}", Picky, args=(n not in bad,)) for n in range(count)]


def keys_of(hub: Hub) -> list[str]:
    redis = SyncRedis(hub.server)
    try:
        return [text(key) for key in redis.run(plain("KEYS", f"hubq:{{{hub.hub_id}}}:*", read=list))]
    finally:
        redis.close()


async def nothing_left(hub: Hub, cluster: Cluster) -> None:
    """No child, no saved state, no mark, no message, no record of the batch."""

    def clean() -> bool:
        left = [key for key in keys_of(hub) if key.endswith((":children", ":msk", ":batches", ":backlog", ":parked"))]
        return not left and not [key for key in keys_of(hub) if ":batch:" in key]

    await eventually(clean, 15.0, "nothing is left behind")
    assert [child for node in cluster.nodes.values() for child in probe(node).children()] == []


@pytest.mark.long_on_fakeredis
def test_ten_thousand_in_one_call_or_none(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=64)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            result = await hub.aio.start_children(specs(10_000, 7777), on_failure="rollback", timeout=60)
            assert result.status == "error" and result.rollback and result.started == {}
            assert [type(error) for error in result.errors.values()] == [StartFailed]
            assert await hub.aio.children() == [], "undone when the result is there"
            await nothing_left(hub, cluster)
            result = await hub.aio.start_children(specs(10_000), on_failure="rollback", timeout=60)
            assert result.status == "ok" and len(result.started) == len(result.pids) == 10_000
            assert not result.rollback and set(result.nodes) == {"a", "b"}

            def settled() -> bool:
                return not [key for key in keys_of(hub) if key.endswith(":batches")]

            await eventually(settled, 15.0, "the nodes have seen the seal")
            (record,) = [key for key in keys_of(hub) if ":batch:" in key]
            redis = SyncRedis(hub.server)
            assert redis.run(plain("GET", record, read=text)) == "sealed 0"
            assert redis.run(plain("PTTL", record, read=int)) > 0
            redis.close()
            await cluster.drain("b")
            await cluster.settled()
            assert len(probe(cluster.nodes["a"]).children()) == 10_000, "a batch that is sealed is never undone"

    asyncio.run(scenario())


class Gate(Child):
    """Starts when its test lets it."""

    open: asyncio.Event

    async def on_start(self) -> None:
        await Gate.open.wait()


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("waits", [True, False], ids=["hub", "hub.aio"])
def test_a_start_may_take_longer_than_the_lease_of_its_batch(make_hub: Any, waits: bool) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4, batch_lease=0.5)
        Gate.open = asyncio.Event()
        renewed = 0

        def counted(renew: Any) -> Any:
            def run(*args: Any) -> Any:
                nonlocal renewed
                renewed += 1
                return renew(*args)

            return run

        def start() -> StartResult:
            return hub.start_children([*specs(9), ChildSpec("slow", Gate)], on_failure="rollback").result(30)

        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            with replaced(batch, "renew_batch", counted):
                started = asyncio.create_task(
                    asyncio.to_thread(start) if waits
                    else hub.aio.start_children([*specs(9), ChildSpec("slow", Gate)], on_failure="rollback")
                )  # fmt: skip
                await eventually(lambda: renewed >= 7, what="it has waited for two leases of a batch")
                Gate.open.set()
                result = await started
            assert result.status == "ok" and len(result.started) == 10
            await hub.aio.stop_children([*result.started])
            assert await hub.aio.children() == []

    asyncio.run(scenario())


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("moves", [False, True], ids=["stays", "moves meanwhile"])
def test_a_caller_that_dies_half_way_leaves_nothing(make_hub: Any, moves: bool) -> None:
    """The start messages are out, and nobody ever asks for the result: as after a kill of the caller."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=8, batch_lease=1.0)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            await hub.aio.start_child("bystander", LedgerChild)
            operation = operations.start_children(connections.context_of(hub), specs(100), on_failure="rollback")
            ticket = await connections.drive_here(hub, operation)
            await eventually(lambda: len(probe(cluster.nodes["a"]).children()) == 101, what="all have begun")
            if moves:
                await cluster.kill("a")
                await cluster.start("b")

            async def only_the_bystander() -> bool:
                return [child.child_id for child in await hub.aio.children()] == ["bystander"]

            await eventually(only_the_bystander, 15.0, "the batch is undone")
            result = await connections.drive_here(
                hub, operations.collect_start(connections.context_of(hub), ticket, 2.0)
            )
            assert result.rollback and set(map(type, result.errors.values())) == {CallTimeout}
            assert await hub.aio.ref("bystander").call("record", "s", 1) == 1
            await hub.aio.stop_child("bystander")
            await nothing_left(hub, cluster)

    asyncio.run(scenario())


def test_a_batch_without_any_node_is_undone_when_one_comes(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4, batch_lease=0.5)
        with pytest.raises(CallTimeout, match=r"did not start within 0\.3 s; all 20 will be undone"):
            await hub.aio.start_children(specs(20), on_failure="rollback", timeout=0.3)
        assert len(await hub.aio.children()) == 20
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await nothing_left(hub, cluster)
            assert (await hub.aio.start_children(specs(20), on_failure="rollback")).status == "ok"

    asyncio.run(scenario())


def test_a_clash_or_a_failing_on_start_undoes_all(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            await hub.aio.start_child("c5", LedgerChild)
            await hub.aio.ref("c5").call("record", "s", 1)
            result = await hub.aio.start_children(specs(30), on_failure="rollback")
            assert result.rollback and list(result.errors) == ["c5"]
            assert isinstance(result.errors["c5"], AlreadyStarted)
            assert [child.child_id for child in await hub.aio.children()] == ["c5"]
            assert await hub.aio.ref("c5").call("entries") == {"s": [1]}
            result = await hub.aio.start_children(
                [*specs(5), ChildSpec("x", Unstartable)], on_failure="rollback", check_existing=False
            )
            assert result.rollback and list(result.errors) == ["x"]
            assert [child.child_id for child in await hub.aio.children()] == ["c5"]
            await hub.aio.stop_child("c5")
            await nothing_left(hub, cluster)

    asyncio.run(scenario())


def test_a_plain_start_knows_nothing_of_batches(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            result = await hub.aio.start_children(specs(20, 3))
            assert len(result.started) == 19 and not result.rollback
            assert not [key for key in keys_of(hub) if "batch" in key]

    asyncio.run(scenario())


def test_check_existing_false_starts_what_is_missing(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            first = await hub.aio.start_child("c1", LedgerChild)
            await hub.aio.ref("c1").call("record", "s", 1)
            result = await hub.aio.start_children(
                [ChildSpec(f"c{n}", LedgerChild) for n in range(3)], check_existing=False
            )
            assert result.status == "ok" and sorted(result.started) == ["c0", "c1", "c2"]
            assert result.pids["c1"] == first.pid
            again = await hub.aio.start_child("c1", LedgerChild, check_existing=False)
            assert again.pid == first.pid
            assert await hub.aio.ref("c1").call("entries") == {"s": [1]}

    asyncio.run(scenario())


def test_disable_logging(make_hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        redis = SyncRedis(hub.server)

        def events() -> list[str]:
            entries = redis.run(plain("XRANGE", hub.keys.events, "-", "+", read=list))
            return [text(fields[1]) for _, fields in entries]

        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await cluster.settled()
            caplog.clear()
            with pytest.raises(StartFailed, match="no network"):
                await hub.aio.start_child("x", Unstartable, disable_logging=True)
            await hub.aio.start_child("y", Picky)
            await hub.aio.stop_child("y", disable_logging=True)
            await hub.aio.start_child("z", Picky)
            await hub.aio.stop_child("z")
            await eventually(lambda: "child_stopped" in events(), what="the other stop is told")
            assert events().count("child_stopped") == 1 and "child_parked" not in events()
            assert caplog.records == []
            with pytest.raises(StartFailed, match="no network"):
                await hub.aio.start_child("x", Unstartable)
            await eventually(lambda: "child_parked" in events(), what="without the option it is told")
            assert "child x is parked" in caplog.text
        redis.close()

    with caplog.at_level(logging.WARNING, "hubq.node"):
        asyncio.run(scenario())


def test_a_future_can_be_awaited(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            future = await asyncio.to_thread(hub.start_child, "c", Picky)
            result = await future
            assert result.node == "a" and result.pid.node == "a" and result.format() == "1 started (1 on a)"

            def waits_in_vain() -> None:
                nobody = make_hub()
                try:
                    nobody.start_child("d", Picky, timeout=0.01).result()
                finally:
                    nobody.close()

            with pytest.raises(CallTimeout, match=r"within 0\.01 s"):
                await asyncio.to_thread(waits_in_vain)

    asyncio.run(scenario())


def test_results_for_people() -> None:
    failed = StartFailed("no network")
    result = StartResult({"a": "n1", "b": "n2", "c": "n1"}, {"x": failed})
    assert (result.status, result.first, result.node, result.nodes) == ("error", "a", "n1", ["n1", "n2", "n1"])
    assert result.format() == "3 started (2 on n1, 1 on n2), 1 failed\n  x: StartFailed: no network"
    assert (
        StartResult({}, {"x": failed}, True).format() == "0 started, 1 failed; all undone\n  x: StartFailed: no network"
    )
    with pytest.raises(NoChildren, match="no child was started"):
        StartResult().first  # noqa: B018
    stopped = StopResult({"a": "n1"})
    assert (stopped.status, stopped.first, stopped.node, stopped.nodes, stopped.cids) == (
        "ok",
        "a",
        "n1",
        ["n1"],
        ["a"],
    )
    assert stopped.format() == "1 stopped (1 on n1)"
    with pytest.raises(NoChildren, match="no child was stopped"):
        StopResult().node  # noqa: B018


def test_a_batch_is_decided_once(make_hub: Any) -> None:
    hub: Hub = make_hub()
    keys, redis = hub.keys, SyncRedis(hub.server)
    redis.run(open_batch(keys, "b", 60_000))
    assert redis.run(read_batch(keys, "b")) == "open" and redis.run(renew_batch(keys, "b", 60_000))
    assert redis.run(end_batch(keys, "b", "seal", 2)) == redis.run(end_batch(keys, "b", "seal", 2)) == "sealed"
    assert redis.run(end_batch(keys, "b", "undo", 0)) == "sealed"
    assert redis.run(plain("PTTL", keys.batch("b"), read=int)) == -1
    for shard in (0, 1):
        redis.run(plain("HSET", keys.batches(shard), "s:1", "b", read=int))
        for _ in range(2):  # the second time changes nothing
            assert redis.run(forget_mark(keys, shard, "s:1", "b")) == "ok"
            assert redis.run(read_batch(keys, "b")) == f"sealed {1 - shard}"
    assert redis.run(plain("PTTL", keys.batch("b"), read=int)) > 0
    redis.run(open_batch(keys, "c", 60_000))
    assert redis.run(end_batch(keys, "c", "undo", 0)) == redis.run(end_batch(keys, "c", "seal", 2)) == "undone"
    assert not redis.run(renew_batch(keys, "c", 60_000)) and redis.run(read_batch(keys, "c")) == ""
    redis.close()
