"""What hubq took over from ProcessHub, and the faults of it that it does not repeat (docs/parity.md)."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import fields
from typing import Any, ClassVar

import pytest

import hubq
from hubq import Child, ChildSpec, Config, HotSwap, Hub, HubqError
from hubq.core.messages import HandoverConfirmed
from hubq.testing import Cluster, LedgerChild, eventually, interfere, moments


def play(scenario: Any) -> None:
    asyncio.run(scenario())


class Story(LedgerChild):
    """Tells in order what happens to it, on every node of this process."""

    told: ClassVar[list[tuple[str, str]]] = []
    gates: ClassVar[dict[str, asyncio.Event]] = {}
    fails_on: ClassVar[str] = ""

    def __init__(self) -> None:
        super().__init__()
        Story.told.append(("built", ""))

    async def on_start(self) -> None:
        if self.node_name == Story.fails_on:
            raise RuntimeError("no network")
        Story.told.append(("started", self.node_name))

    async def on_stop(self, reason: str) -> None:
        Story.told.append((f"stopped: {reason}", self.node_name))

    async def seen(self, number: int) -> str:
        Story.told.append((f"handled {number}, has {len(self.applied.get('s', []))}", self.node_name))
        return self.node_name

    def hold_thread(self) -> str:
        Story.told.append(("holds a thread", self.node_name))
        RELEASE.wait(20)
        return self.node_name

    async def hold(self, gate: str) -> str:
        Story.told.append((f"holds {gate}", self.node_name))
        await Story.gates[gate].wait()
        return self.node_name


RELEASE = threading.Event()


class Packed(Story):
    """Takes its time over what it hands over."""

    slow: ClassVar[set[str]] = set()
    asked: ClassVar[list[str]] = []
    at_once: ClassVar[int] = 0
    most: ClassVar[int] = 0

    async def prepare_handover_state(self) -> Any:
        Packed.asked.append(self.child_id)
        Story.told.append(("packed", self.node_name))
        if self.child_id in Packed.slow:
            await asyncio.Event().wait()
        Packed.at_once += 1
        Packed.most = max(Packed.most, Packed.at_once)
        await asyncio.sleep(0.05)  # what is tested: all of them take this long, together
        Packed.at_once -= 1
        return {"applied": self.applied}


@pytest.fixture(autouse=True)
def fresh() -> None:
    Story.told.clear()
    Story.gates.clear()
    Story.fails_on = ""
    Packed.slow.clear()
    Packed.asked.clear()
    Packed.at_once = Packed.most = 0


async def one_shard(hub: Hub, cluster: Cluster, kind: type[Child], count: int = 1) -> list[str]:
    await cluster.start("a")
    await cluster.settled()
    names = [f"c{n}" for n in range(count)]
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names])
    assert result.status == "ok"
    for name in names:
        await hub.aio.ref(name).call("record", "s", 1)
    return names


def test_hot_swap_has_the_same_options() -> None:
    options = HotSwap()
    assert (options.retention, options.handover_data_wait, options.child_migration_timeout) == (5.0, 3.0, 10.0)
    assert options.handover and options.confirm_handover, "on by default: a deploy should lose nothing"


def test_restart_and_shutdown_defaults() -> None:
    assert (Child.max_restarts, Child.restart_within) == (100, 4.0)
    assert Config().stop_timeout == 60.0


def test_an_exception_class_for_each_error() -> None:
    names = {
        "no_children": "NoChildren",
        "already_started": "AlreadyStarted",
        "partitioned": "Partitioned",
        "mapping errors": "MappingError",
        "receive timeout": "CallTimeout",
        "not_alive": "NotAlive",
    }
    classes = [getattr(hubq, name) for name in names.values()]
    assert all(issubclass(kind, HubqError) for kind in classes) and len(set(classes)) == len(names)


def test_the_new_child_is_built_first_and_the_old_one_stopped_last(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await one_shard(hub, cluster, Story)
            await cluster.start("b")
            await cluster.drain("a")
            assert Story.told == [
                ("built", ""), ("started", "a"), ("built", ""), ("started", "b"), ("stopped: migrated", "a"),
            ]  # fmt: skip

    play(scenario)


def test_a_child_that_cannot_start_there_stays_and_its_neighbours_move(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        async with Cluster(hub) as cluster:
            names = await one_shard(hub, cluster, LedgerChild, 8)
            node = await cluster.start("b")
            with interfere.one_child_cannot_be_built(node) as unlucky:  # whichever shard comes to it
                await eventually(
                    lambda: list(cluster.serving().values()).count("b") == 1, what="the neighbours have moved"
                )
                place = await hub.aio.where(unlucky[0])
                assert place.node == "a" and place.pinned
                for name in names:
                    assert await hub.aio.ref(name).call("record", "s", 2) == 2

    play(scenario)


@pytest.mark.long_on_fakeredis
def test_states_are_asked_for_all_at_once(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1, migration=HotSwap(handover_data_wait=10.0))
        async with Cluster(hub) as cluster:
            names = await one_shard(hub, cluster, Packed, 40)
            await cluster.start("b")
            Story.told.clear()
            await cluster.drain("a")
            packed = [n for n, (what, _) in enumerate(Story.told) if what == "packed"]
            started = [n for n, (what, node) in enumerate(Story.told) if what == "started" and node == "b"]
            assert len(packed) == len(started) == 40
            assert sorted(Packed.asked) == sorted(names) and max(packed) < min(started)
            assert Packed.most == 40, "all were asked before the first had answered"

    play(scenario)


@pytest.mark.long_on_fakeredis
def test_a_state_that_is_overdue_stays_with_its_child(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2, migration=HotSwap(handover_data_wait=0.2))
        async with Cluster(hub) as cluster:
            names = await one_shard(hub, cluster, Packed, 12)
            Packed.slow.update(names)
            await cluster.start("b")
            await eventually(lambda: list(cluster.serving().values()).count("b") == 1, what="the shard has moved")
            for name in names:
                assert (await hub.aio.where(name)).node == "a", "an overdue one stays where it is, and serves"
                assert await hub.aio.ref(name).call("record", "s", 2) == 2
            await cluster.kill("a")
            await cluster.settled()
            for name in names:
                assert await hub.aio.ref(name).call("entries") == {"s": [1, 2]}, "its last commit was in msk"

    play(scenario)


@pytest.mark.long_on_fakeredis
def test_saved_states_stay_until_their_children_have_taken_them(make_hub: Any) -> None:
    """A node takes the shards and dies before the children have started; the next one finds every state."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            names = await one_shard(hub, cluster, Story, 20)
            await cluster.drain("a")
            Story.fails_on = "b"
            await cluster.start("b")

            async def parked() -> bool:
                return {child.status for child in await hub.aio.children()} == {"parked"}

            await eventually(parked, what="no child can start on b")
            await hub.aio.ref("c0").cast("record", "s", 2)
            await cluster.kill("b")
            await cluster.start("c")
            for name in names:
                assert await hub.aio.ref(name).call("entries", timeout=15) == {"s": [1, 2] if name == "c0" else [1]}

    play(scenario)


def test_the_old_child_handles_nothing_after_its_state_was_taken(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await one_shard(hub, cluster, Packed)
            await cluster.start("b")
            draining = asyncio.ensure_future(cluster.drain("a"))
            await eventually(lambda: Packed.asked, what="its state is being taken")
            assert await hub.aio.ref("c0").call("seen", 1) == "b"
            assert await draining
            after = Story.told[Story.told.index(("packed", "a")) :]
            assert [told for told in after if told[0].startswith("handled")] == [("handled 1, has 1", "b")]

    play(scenario)


def test_the_new_child_handles_nothing_before_its_state_arrived(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await one_shard(hub, cluster, Story)
            await cluster.start("b")
            moving = asyncio.ensure_future(cluster.drain("a"))
            calls = [asyncio.ensure_future(hub.aio.ref("c0").call("seen", n, timeout=20)) for n in range(50)]
            await asyncio.gather(*calls)
            assert await moving
            handled = [what for what, _ in Story.told if what.startswith("handled")]
            assert [what.split(", ")[1] for what in handled] == ["has 1"] * 50
            there = [told for told in Story.told if told[1] == "b"]
            assert there[0] == ("started", "b")

    play(scenario)


def test_one_overdue_child_does_not_shorten_anothers_time(make_hub: Any) -> None:
    """Two stragglers of one shard are overdue. One can be cancelled and follows; the other, in a thread, keeps its turn."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=2, migration=HotSwap(retention=0.3))
        async with Cluster(hub) as cluster:
            names = await one_shard(hub, cluster, Story, 8)
            Story.gates["gate"] = asyncio.Event()
            by_shard: dict[int, list[str]] = {}
            for name in names:
                by_shard.setdefault((await hub.aio.where(name)).shard, []).append(name)
            calls: dict[str, asyncio.Future[Any]] = {}
            for first, second, *_ in by_shard.values():
                calls[first] = asyncio.ensure_future(hub.aio.ref(first).call("hold", "gate", timeout=30))
                calls[second] = asyncio.ensure_future(hub.aio.ref(second).call("hold_thread", timeout=30))
            await eventually(lambda: len([t for t in Story.told if "holds" in t[0]]) == 4, what="four are busy")
            await cluster.start("b")
            await eventually(
                lambda: ("holds gate", "b") in Story.told, what="the one that can be cancelled runs again on b"
            )
            (shard,) = [shard for shard, node in cluster.serving().items() if node == "b"]
            held, in_thread = by_shard[shard][:2]
            assert (await hub.aio.where(held)).node == "b"
            place = await hub.aio.where(in_thread)
            assert place.node == "a" and place.pinned and not calls[in_thread].done()
            RELEASE.set()
            Story.gates["gate"].set()
            assert await calls[in_thread] == "a", "its message was not cut short"
            assert await calls[held] == "b"
            await asyncio.gather(*calls.values())
            await cluster.settled()

    RELEASE.clear()
    try:
        play(scenario)
    finally:
        RELEASE.set()


def test_a_confirmation_belongs_to_its_handover(make_hub: Any) -> None:
    """A confirmation names its handover; one of another is not taken for it."""
    assert "handover_id" in [field.name for field in fields(HandoverConfirmed)]

    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        with moments.confirmations_awaited() as handovers:
            await drained(hub, handovers)

    async def drained(hub: Hub, handovers: list[moments.HandoverSeen]) -> None:
        async with Cluster(hub) as cluster:
            await one_shard(hub, cluster, Story, 8)
            source = cluster.nodes["a"]
            await cluster.start("b")
            draining = asyncio.ensure_future(cluster.drain("a"))
            await eventually(lambda: handovers, what="a handover waits for its confirmation")
            mine = handovers[0]
            if not mine.confirmed:
                interfere.receive(source, HandoverConfirmed("b", mine.shard, "of another handover"))
                assert not mine.confirmed
            assert await draining
            assert all(handover.confirmed for handover in handovers) and len({h.handover_id for h in handovers}) == 2

    play(scenario)
