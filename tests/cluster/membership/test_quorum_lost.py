"""Losing the quorum under load and regaining it: nothing is lost, nothing is handled meanwhile, order is kept."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import ChildSpec, ColdSwap, DynamicQuorum, MajorityQuorum, Partitioned, Replication, StaticQuorum
from hubq.testing import Cluster, Ledger, LedgerChild, Load, eventually, probe, start_children


class Looper(LedgerChild):
    """Counts, in its state, how often its loop began, and tells how many loops there are."""

    loops = 0

    def __init__(self) -> None:
        super().__init__()
        self.began = 0
        self.turns = 0

    async def run(self) -> None:
        self.began += 1
        type(self).loops += 1
        try:
            while True:
                self.turns += 1
                await asyncio.sleep(0.01)
        finally:
            type(self).loops -= 1

    async def told(self) -> tuple[int, int]:
        return self.began, self.turns


class Slow(LedgerChild):
    """Its handler ends when the test says so."""

    transient = ("hold",)
    holding: asyncio.Event

    async def wait(self) -> str:
        type(self).holding = asyncio.Event()
        await type(self).holding.wait()
        return self.node_name


async def partitioned(hub: Any, expected: bool, within: float = 20.0) -> None:
    async def as_expected() -> bool:
        return bool(await hub.aio.is_partitioned()) is expected

    await eventually(as_expected, within, f"partitioned: {expected}")


async def closed(cluster: Cluster, expected: bool) -> None:
    def as_expected() -> bool:
        return all(probe(node).partitioned is expected for node in cluster.nodes.values())

    await eventually(as_expected, 20.0, f"every node's intake is {'closed' if expected else 'open'}")


@pytest.mark.parametrize("how", ["killed", "drained", "cut off"])
def test_quorum_lost_and_regained_under_load(make_hub: Any, how: str) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=16, partition_tolerance=StaticQuorum(2))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start_children(hub, LedgerChild, 40)
            load = Load(ledger, children)
            await load.reached(100)
            if how == "killed":
                await cluster.kill("b")
            elif how == "drained":
                assert await cluster.drain("b"), "a drain goes on without the quorum"
            else:
                cluster.partition("b")
            await partitioned(hub, True)
            await eventually(lambda: probe(cluster.nodes["a"]).partitioned, 10.0, "a has closed its intake")
            # What was in hand has ended by now; from here on nothing is handled, and casts are taken all the same.
            await eventually(lambda: not probe(cluster.nodes["a"]).busy, 10.0, "all at rest")
            before = probe(cluster.nodes["a"]).handled
            for child in children:
                await ledger.cast("meanwhile", child)
            with pytest.raises(Partitioned):
                await hub.aio.start_child("new", LedgerChild)
            with pytest.raises(Partitioned):
                await hub.aio.stop_child(children[0])
            serving = await eventually(
                lambda: len([1 for node in cluster.serving().values() if node == "a"]) == 16 or None, 20.0, "claimed"
            )
            assert serving and probe(cluster.nodes["a"]).handled == before
            if how == "cut off":
                cluster.heal("b")
            else:
                await cluster.start("c")
            await partitioned(hub, False)
            await closed(cluster, False)
            await load.reached(load.count + 100)
            await load.end()
            assert ledger.failed == []
            await hub.aio.start_child("new", LedgerChild)
            await hub.aio.stop_child("new")
            assert await cluster.settled() == dict.fromkeys(cluster.nodes, 8)
            await ledger.check()

    asyncio.run(scenario())


def test_run_ends_and_begins_again_with_the_state(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, partition_tolerance=StaticQuorum(2))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start_children(hub, Looper, 8)
            await eventually(lambda: Looper.loops == 8, 10.0, "all loops turn")
            moved = [child.child_id for child in await hub.aio.children(node="b")]
            assert 0 < len(moved) < 8
            assert await cluster.drain("b")
            await closed(cluster, True)
            await eventually(lambda: Looper.loops == 0, 10.0, "no loop turns")
            await eventually(lambda: len(probe(cluster.nodes["a"]).children()) == 8, 10.0, "all have moved")
            assert Looper.loops == 0, "nor those of children that came meanwhile"
            turns = {child.child_id: child.instance.turns for child in probe(cluster.nodes["a"]).children()}
            await cluster.start("c")
            await eventually(lambda: Looper.loops == 8, 10.0, "all loops turn again")
            for child in children:
                began, now = await hub.aio.ref(child).call("told")
                assert began >= 2 and now > turns[child] > 0
            await cluster.settled()
        assert Looper.loops == 0

    asyncio.run(scenario())


def test_what_is_in_hand_ends_and_is_answered(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1, partition_tolerance=StaticQuorum(2))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled_shards()
            await start_children(hub, Slow, 1)
            call = asyncio.ensure_future(hub.aio.ref("child-0").call("wait", timeout=30))
            await eventually(lambda: hasattr(Slow, "holding"), 10.0, "the handler runs")
            owner = cluster.serving()[0]
            await cluster.kill("a" if owner == "b" else "b")
            await partitioned(hub, True)
            await closed(cluster, True)
            Slow.holding.set()
            assert await call == owner
            late = asyncio.ensure_future(hub.aio.ref("child-0").call("entries", timeout=30))
            await cluster.start("c")
            assert await late == {}

    asyncio.run(scenario())


def test_starts_that_were_sent_before_wait(make_hub: Any) -> None:
    """Accepted and not carried out yet: they are when the quorum is regained, with the messages behind them."""

    async def scenario() -> None:
        hub = make_hub(shards=4, partition_tolerance=StaticQuorum(2, startup_confirm=True))
        ledger = Ledger(hub)
        names = [f"early-{n}" for n in range(12)]
        specs = [ChildSpec(name, LedgerChild) for name in names]
        start = asyncio.ensure_future(hub.aio.start_children(specs, on_failure="rollback", timeout=30))

        async def written() -> bool:
            return len(await hub.aio.children()) == 12

        await eventually(written, 10.0, "all are written down, with no node up")
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await partitioned(hub, True)
            for name in names:
                for _ in range(3):
                    await ledger.cast("s", name)
            await cluster.settled_shards()
            await cluster.start("b")
            await partitioned(hub, False)
            assert len((await start).started) == 12
            for name in names:
                await ledger.call("s", name)
            await ledger.check()

    asyncio.run(scenario())


@pytest.mark.parametrize("model", ["active_active", "active_passive"])
def test_with_replication_the_standby_waits_for_the_quorum(make_hub: Any, model: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=8, partition_tolerance=StaticQuorum(2), redundancy=Replication(2, model))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start_children(hub, LedgerChild, 16)
            load = Load(ledger, children, senders=3)
            await load.reached(60)
            await cluster.kill("b")
            await partitioned(hub, True)
            await cluster.start("c")
            await load.reached(load.count + 60)
            await load.end()
            assert ledger.failed == []
            await cluster.settled()
            await ledger.check()

    asyncio.run(scenario())


def test_a_dynamic_quorum_goes_on_with_those_that_are_left(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=8, partition_tolerance=DynamicQuorum(70, threshold_time=4.0), migration=ColdSwap())
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c", "d")
            await cluster.settled()
            children = await start_children(hub, LedgerChild, 16)
            load = Load(ledger, children)
            await load.reached(50)
            await cluster.kill("d")
            await cluster.kill("c")
            await partitioned(hub, True)
            await partitioned(hub, False)
            await load.reached(load.count + 50)
            await load.end()
            assert ledger.failed == []
            await cluster.settled()
            await ledger.check()

    asyncio.run(scenario())


def test_intake_hooks_and_events_tell_of_both(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2, partition_tolerance=MajorityQuorum())
        told: list[tuple[str, int, bool, str]] = []
        hub.add_hook(
            "priority_state_updated", lambda data: told.append((data.node, data.shard, data.open, data.reason))
        )
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c")
            await cluster.settled_shards()
            await cluster.kill("b")
            await cluster.kill("c")
            await partitioned(hub, True)
            await closed(cluster, True)
            await cluster.start("d")
            await partitioned(hub, False)
            await closed(cluster, False)
            for word in (False, "quorum lost"), (True, "quorum regained"):
                await eventually(
                    lambda word=word: any(each[2:] == word for each in told), 10.0, f"a hook told of {word}"
                )  # type: ignore[misc]
            _, found = await asyncio.to_thread(hub.inspect.events, 9, ("quorum_lost", "quorum_regained"))
            assert [event.type for event in found] == ["quorum_lost", "quorum_regained"]

    asyncio.run(scenario())
