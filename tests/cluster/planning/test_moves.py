"""Children with a place of their own: moved by hand, guided at start. Under load, and with nodes that die on the way."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq import (
    CallTimeout,
    ChildSpec,
    Guided,
    HotSwap,
    HubqError,
    MappingError,
    NotAlive,
    Pid,
    StartResult,
    UnknownChild,
)
from hubq.core.hashing import shard_of
from hubq.testing import Cluster, Ledger, LedgerChild, Load, connections, eventually, interfere, probe, start_children


async def is_at(hub: Any, child: str, node: str | None, within: float = 20.0) -> None:
    async def there() -> bool:
        return (await hub.aio.where(child)).node == node

    await eventually(there, within, f"{child} is on {node}")


def other(hub: Any, cluster: Cluster, child: str) -> str:
    """A node that does not have the child's shard."""
    owner = cluster.serving()[shard_of(child, hub.config.shards)]
    return next(name for name in cluster.nodes if name != owner)


def test_a_child_moves_and_comes_back_under_load(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=8)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c")
            await cluster.settled()
            children = await start_children(hub, LedgerChild, 24)
            load = Load(ledger, children)
            await load.reached(100)
            for _ in range(3):
                for child in children[:6]:
                    target = other(hub, cluster, child)
                    place = await hub.aio.move(child, target)
                    assert (place.node, place.pinned) == (target, True)
                    assert cluster.copies(child) in ([target], [])
                await load.reached(load.count + 50)
                listed = {child.child_id: child for child in await hub.aio.children()}
                assert [listed[child].pin for child in children[:6]] == ["moved"] * 6
                for child in children[:6]:
                    assert not (await hub.aio.move(child, None)).pinned
                await load.reached(load.count + 50)
            await load.end()
            assert ledger.failed == []
            await cluster.settled()
            for child in children:
                assert len(cluster.copies(child)) == 1
            await ledger.check()

    asyncio.run(scenario())


def test_all_over_the_cluster_from_pin_to_pin(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c", "d")
            children = await start_children(hub, LedgerChild, 4)
            load = Load(ledger, children, senders=4)
            for turn in range(12):
                await hub.aio.move("child-0", "abcd"[turn % 4])
                await load.reached(load.count + 10)
            await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


def test_a_moved_child_stays_when_its_shard_goes(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = await start_children(hub, LedgerChild, 4)
            load = Load(ledger, children, senders=4)
            assert not (await hub.aio.move("child-0", "a")).pinned
            await cluster.start("b")
            await hub.aio.move("child-1", "b")
            await cluster.drain("a")
            await is_at(hub, "child-0", "b")  # its node has gone: it lives with its shard
            await cluster.start("a")
            await is_at(hub, "child-0", "a")  # and goes back
            await is_at(hub, "child-1", "b")
            await cluster.drain("b")
            await load.reached(load.count + 30)
            assert {child.node for child in await hub.aio.children()} == {"a"}
            await load.end()
            assert ledger.failed == []
            await ledger.check()
            assert await cluster.drain("a")
            await cluster.start("c")
            await ledger.check()

    asyncio.run(scenario())


@pytest.mark.parametrize("victim", ["source", "target"])
def test_a_node_dies_while_children_move(make_hub: Any, victim: str) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b", "c")
            await cluster.settled()
            children = await start_children(hub, LedgerChild, 12)
            load = Load(ledger, children)
            await load.reached(100)
            serving = cluster.serving()
            mine = [child for child in children if serving[shard_of(child, hub.config.shards)] == "a"]
            moves = [asyncio.ensure_future(hub.aio.move(child, "b", timeout=30)) for child in mine]
            await asyncio.wait(moves, return_when=asyncio.FIRST_COMPLETED)
            await cluster.kill("a" if victim == "source" else "b")
            for move in moves:
                move.cancel()
            await asyncio.gather(*moves, return_exceptions=True)
            await cluster.settled_shards()
            if victim == "source":  # all wishes had been written down
                for child in mine:
                    await is_at(hub, child, "b")
            await load.reached(load.count + 100)
            await load.end()
            for child in children:
                assert len(cluster.copies(child)) == 1
            await ledger.check()

    asyncio.run(scenario())


class Stuck(LedgerChild):
    gate: ClassVar[asyncio.Event]
    held: ClassVar[int] = 0

    async def hold(self, sender: str, number: int) -> int:
        Stuck.held += 1
        await self.record(sender, number)
        await Stuck.gate.wait()
        return number


class Picky(LedgerChild):
    """Cannot be built while ``closed``."""

    closed: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        if Picky.closed:
            raise RuntimeError("not here")


def test_a_busy_child_is_undone_and_moves(make_hub: Any) -> None:
    async def scenario() -> None:
        Stuck.gate, Stuck.held = asyncio.Event(), 0
        hub = make_hub(shards=1, migration=HotSwap(retention=0.2))
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            owner = cluster.serving().get(0) or "a"
            target = "b" if owner == "a" else "a"
            await hub.aio.start_children([ChildSpec("busy", Stuck), ChildSpec("idle", LedgerChild)])
            held = asyncio.ensure_future(hub.aio.ref("busy").call("hold", "x", 1, timeout=20))
            await eventually(lambda: Stuck.held, what="the message is in hand")
            await hub.aio.ref("busy").cast("record", "x", 2)
            await hub.aio.move("busy", target)
            await hub.aio.ref("idle").call("record", "y", 1)
            Stuck.gate.set()
            assert await held == 1
            assert await hub.aio.ref("busy").call("entries") == {"x": [1, 2]}
            assert cluster.copies("busy") == [target]

    asyncio.run(scenario())


def test_errors_of_a_move(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_children([ChildSpec("p", Picky), ChildSpec("q", LedgerChild)])
            with pytest.raises(UnknownChild):
                await hub.aio.move("nobody", "a")
            with pytest.raises(NotAlive):
                await hub.aio.move("p", "nowhere")
            await cluster.start("b")
            target = other(hub, cluster, "p")
            Picky.closed = True
            with pytest.raises(HubqError, match="not here"):
                await hub.aio.move("p", target)
            (listed,) = [child for child in await hub.aio.children() if child.child_id == "p"]
            assert listed.reason.startswith(f"cannot start on {target}") and listed.wanted == target
            assert await hub.aio.ref("p").call("record", "x", 1) == 1  # it serves on
            Picky.closed = False
            await hub.aio.move("p", target)  # asked again: tried again
            assert await hub.aio.ref("p").call("record", "x", 2) == 2
            assert [child.reason for child in await hub.aio.children()] == ["", ""]
            # Stopped while pinned: nothing of it is left.
            await hub.aio.stop_child("p")
            await hub.aio.start_child("p", Picky)
            assert await hub.aio.ref("p").call("entries") == {}

            async def unpinned() -> bool:
                return not (await hub.aio.where("p")).pinned

            await eventually(unpinned, what="the pin has gone with the child")

    try:
        asyncio.run(scenario())
    finally:
        Picky.closed = False


def test_guided_children_live_where_they_are_told(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, distribution=Guided())
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            mapping = {f"child-{n}": "ab"[n % 2] for n in range(20)}
            specs = [ChildSpec(child, LedgerChild) for child in mapping]
            for bad in (None, {}, {**mapping, "other": "a"}, {**mapping, "child-1": ["a", "b"]}, {"child-1": "a"}):
                with pytest.raises(MappingError):
                    await hub.aio.start_children(specs, child_mapping=bad)
            with pytest.raises(MappingError, match="'c'"):
                await hub.aio.start_children(specs, child_mapping={**mapping, "child-3": "c"})
            assert await hub.aio.children() == []
            result = await hub.aio.start_children(specs, child_mapping=mapping)
            assert result.started == mapping
            assert {child: pid.node for child, pid in result.pids.items()} == mapping
            load = Load(ledger, list(mapping))
            await cluster.start("c")
            await cluster.settled_shards()
            await load.reached(load.count + 100)
            assert {child.child_id: child.node for child in await hub.aio.children()} == mapping
            await load.end()
            assert ledger.failed == []
            # Its node leaves: it is served by nobody, and what is sent to it waits.
            assert await cluster.drain("b")
            listed = {child.child_id: child for child in await hub.aio.children()}
            assert listed["child-1"].status == "waiting" and listed["child-1"].reason == "waits for node b"
            assert listed["child-0"].node == "a"
            await ledger.cast("late", "child-1")
            with pytest.raises(CallTimeout):
                await hub.aio.ref("child-1").call("entries", timeout=0.3)
            await cluster.start("b")
            await is_at(hub, "child-1", "b")
            await ledger.check()
            await hub.aio.stop_children(list(mapping))
            assert await hub.aio.children() == []

    asyncio.run(scenario())


def test_a_guided_child_whose_shard_comes_to_its_node_is_there(make_hub: Any) -> None:
    """It was started by the shard's owner before; where it belongs it needs no pin."""

    async def scenario() -> None:
        hub = make_hub(shards=1, distribution=Guided())
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            (here,) = (await cluster.settled_shards()).values()
            (there,) = {"a", "b"} - {here}
            told = StartResult({"x": there}, pids={"x": Pid(there, 1, 1)})
            result = await connections.pins_awaited(hub, told, {"x": here}, 0.5)
            assert (result.errors, result.started, result.pids["x"].node) == ({}, {"x": here}, here)
            told = StartResult({"x": here}, pids={"x": Pid(here, 1, 1)})
            result = await connections.pins_awaited(hub, told, {"x": there}, 0.3)
            assert f"node '{there}' has not taken it within 0.3 s" in str(result.errors["x"])

    asyncio.run(scenario())


def test_a_guided_child_that_starts_while_its_shard_is_about_to_move_stays(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2, distribution=Guided())
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            async with interfere.no_shard_closes(node):
                await cluster.start("b")
                moving = await eventually(lambda: probe(node).shards_moving, 10.0, "a shard is about to move")
                (child,) = [f"x{n}" for n in range(50) if shard_of(f"x{n}", 2) == moving[0]][:1]
                await hub.aio.start_child(child, LedgerChild, child_mapping={child: "a"})
                assert moving[0] in probe(node).shards_open
            await cluster.serves({"a": 1, "b": 1})
            place = await hub.aio.where(child)
            assert (place.node, place.pinned) == ("a", True), "it has not gone along"
            assert (await asyncio.to_thread(hub.inspect.events, 1000, ["child_migrated"]))[1] == []

    asyncio.run(scenario())


def test_guided_children_that_live_with_their_shard_meanwhile(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2, distribution=Guided(when_gone="shard"))
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            names = [f"g{n}" for n in range(6)]
            specs = [ChildSpec(name, LedgerChild) for name in names]
            await hub.aio.start_children(specs, child_mapping=dict.fromkeys(names, "b"))
            load = Load(ledger, names, senders=3)
            await load.reached(30)
            await cluster.kill("b")
            await is_at(hub, "g0", "a")
            await load.reached(load.count + 30)
            await cluster.start("b")
            for name in names:
                await is_at(hub, name, "b")
            await load.reached(load.count + 30)
            await load.end()
            await ledger.check()

    asyncio.run(scenario())
