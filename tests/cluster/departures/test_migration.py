"""Live migration in an in-process cluster: joins, drains, stragglers, crashes. Every test ends with the ledger."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar

import pytest

from hubq import ColdSwap, HotSwap, Hub
from hubq.testing import Cluster, Ledger, LedgerChild, Load, eventually, probe, start_children


def test_join_and_drain_under_load(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=32)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, LedgerChild, 200)
            load = Load(ledger, children)
            await load.reached(200)
            await cluster.start("b")
            assert await cluster.settled() == {"a": 16, "b": 16}
            await load.reached(load.count + 200)
            assert await cluster.drain("b")
            assert await cluster.settled() == {"a": 32}
            await load.reached(load.count + 200)
            await load.end()
            assert ledger.failed == []
            for child in children:
                assert len(cluster.copies(child)) == 1
            await ledger.check()

    asyncio.run(scenario())


def test_a_killed_node_is_taken_over_with_nothing_lost(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=16)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start_children(hub, LedgerChild, 60)
            load = Load(ledger, children)
            await load.reached(300)
            await cluster.kill("b")
            assert await cluster.settled() == {"a": 16}
            await load.reached(load.count + 100)
            await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


@pytest.mark.parametrize("how", ["freeze", "partition"])
def test_a_node_cut_off_stops_its_copies_and_is_fenced(make_hub: Any, how: str) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=16)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            children = await start_children(hub, LedgerChild, 60)
            load = Load(ledger, children)
            await load.reached(300)
            before = probe(cluster.nodes["b"]).incarnation
            (cluster.freeze if how == "freeze" else cluster.partition)("b")
            await eventually(lambda: not probe(cluster.nodes["b"]).holds, 10, "b has dropped its children")
            await eventually(lambda: list(cluster.serving().values()).count("a") == 16, 10, "a has taken over")
            await load.reached(load.count + 100)
            (cluster.thaw if how == "freeze" else cluster.heal)("b")
            assert await cluster.settled() == {"a": 8, "b": 8}
            assert probe(cluster.nodes["b"]).incarnation > before
            await load.reached(load.count + 100)
            await load.end()
            for child in children:
                assert len(cluster.copies(child)) == 1
            await ledger.check()

    asyncio.run(scenario())


def test_stopping_every_node_loses_nothing(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=8)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, LedgerChild, 20)
            for child in children:
                await ledger.call("before", child)
            assert await cluster.drain("a")
            assert (await hub.aio.where(children[0])).node is None
            for child in children:
                await ledger.cast("between", child)
            await cluster.start("b")
            for child in children:
                await ledger.call("after", child)
            await ledger.check()

    asyncio.run(scenario())


class Slow(LedgerChild):
    """One method waits until the test lets it go on."""

    gates: ClassVar[dict[str, asyncio.Event]] = {}
    begun: ClassVar[list[tuple[str, str]]] = []

    async def wait_and_record(self, sender: str, number: int) -> str:
        Slow.begun.append((self.child_id, self.node_name))
        await Slow.gates[self.child_id].wait()
        await self.record(sender, number)
        return self.node_name

    def block_and_record(self, seconds: Any, sender: str, number: int) -> str:
        Slow.begun.append((self.child_id, self.node_name))
        BLOCKED.wait(10)
        self.applied.setdefault(sender, []).append(number)
        return self.node_name


BLOCKED = threading.Event()


async def moving_child(cluster: Cluster, hub: Hub, children: list[str], node: str) -> str:
    """A child whose shard goes to the node when it joins, found by a rehearsal of the placement."""
    from hubq.core.hashing import shard_of
    from hubq.core.placement import place

    owners: dict[int, str | None] = dict(cluster.serving())
    desired = place([*cluster.nodes, node], owners, hub.config.shards)
    return next(child for child in children if desired[shard_of(child, hub.config.shards)] == node)


@pytest.mark.parametrize("overdue", [False, True])
def test_a_busy_child_does_not_hold_up_its_neighbours_and_follows(make_hub: Any, overdue: bool) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, migration=HotSwap(retention=0.3 if overdue else 30.0))
        ledger = Ledger(hub)
        Slow.begun.clear()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, Slow, 40)
            busy = await moving_child(cluster, hub, children, "b")
            Slow.gates[busy] = asyncio.Event()
            for number in (1, 2):
                await hub.aio.ref(busy).call("record", "x", number)
            in_hand = asyncio.ensure_future(hub.aio.ref(busy).call("wait_and_record", "x", 3, timeout=20))
            await eventually(lambda: Slow.begun, what="the handler runs")
            others = [child for child in children if child != busy]
            load = Load(ledger, others)
            await load.reached(50)
            later = [asyncio.ensure_future(hub.aio.ref(busy).call("record", "x", n, timeout=20)) for n in (4, 5)]
            await cluster.start("b")
            await eventually(lambda: list(cluster.serving().values()).count("b") == 2, what="the neighbours have moved")
            if not overdue:
                place = await hub.aio.where(busy)
                assert place.pinned and place.node == "a"
                await load.reached(load.count + 100)
                Slow.gates[busy].set()
                assert await in_hand == "a"
            else:
                await eventually(lambda: (busy, "b") in Slow.begun, what="the message runs again at the target")
                Slow.gates[busy].set()
                assert await in_hand == "b"
            await cluster.settled()
            assert [await task for task in later] == [4, 5]
            assert (await hub.aio.where(busy)).node == "b"
            assert await hub.aio.ref(busy).call("entries") == {"x": [1, 2, 3, 4, 5]}
            await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


def test_a_busy_thread_is_waited_for(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2, migration=HotSwap(retention=0.1))
        Slow.begun.clear()
        BLOCKED.clear()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, Slow, 10)
            busy = await moving_child(cluster, hub, children, "b")
            in_hand = asyncio.ensure_future(hub.aio.ref(busy).call("block_and_record", 0, "x", 1, timeout=20))
            await eventually(lambda: Slow.begun, what="the handler runs")
            await cluster.start("b")
            await eventually(lambda: list(cluster.serving().values()).count("b") == 1, what="the neighbours have moved")
            assert (await hub.aio.where(busy)).pinned
            BLOCKED.set()
            assert await in_hand == "a"
            await cluster.settled()
            assert await hub.aio.ref(busy).call("entries") == {"x": [1]}
            assert (await hub.aio.where(busy)).node == "b"

    asyncio.run(scenario())


class SlowToStop(LedgerChild):
    """Needs 20 ms to stop."""

    stopped: ClassVar[list[str]] = []

    async def on_stop(self, reason: str) -> None:
        await asyncio.sleep(0.02)
        SlowToStop.stopped.append(reason)


def test_children_slow_to_stop_keep_nobody_waiting(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=8)
        ledger = Ledger(hub)
        SlowToStop.stopped.clear()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, SlowToStop, 100)
            load = Load(ledger, children)
            await load.reached(100)
            await cluster.start("b")
            await cluster.settled()
            await eventually(lambda: len(SlowToStop.stopped) > 20, what="on_stop of those that moved")
            assert set(SlowToStop.stopped) == {"migrated"}
            await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


def test_the_target_dies_before_the_token_passes(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, migration=HotSwap(child_migration_timeout=0.5))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, LedgerChild, 20)
            load = Load(ledger, children)
            await load.reached(50)
            await cluster.start("b")
            cluster.freeze("b")
            await load.reached(load.count + 100)
            await cluster.kill("b")
            assert await cluster.settled() == {"a": 4}
            await load.reached(load.count + 50)
            await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


def test_cold_swap_moves_with_the_last_commit(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=8, migration=ColdSwap())
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, LedgerChild, 30)
            load = Load(ledger, children)
            await load.reached(100)
            await cluster.start("b")
            assert await cluster.settled() == {"a": 4, "b": 4}
            await cluster.drain("a")
            await cluster.settled()
            await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


def test_without_handover_the_new_child_starts_fresh_and_the_old_one_stops(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2, migration=HotSwap(handover=False))
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, LedgerChild, 10)
            moving = await moving_child(cluster, hub, children, "b")
            for child in children:
                await hub.aio.ref(child).call("record", "x", 1)
            await cluster.start("b")
            await cluster.settled()
            assert await hub.aio.ref(moving).call("entries") == {}
            assert cluster.copies(moving) == ["b"]

    asyncio.run(scenario())
