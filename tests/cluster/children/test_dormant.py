"""Dormant children: they rest, wake and expire (docs/dormant.md)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import AlreadyStarted, CallFailed, ChildSpec, HubqError, UnknownChild
from hubq.client.operations.saved_states import SavedStates
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, interfere
from hubq.testing.probe import probe
from tests.cluster.children.sleepers import (
    MOMENTS,
    Brief,
    Handed,
    Interval,
    Patient,
    Sleepy,
    Spoilt,
    Stopping,
    Teller,
    children_here,
    gone,
    is_dormant,
    raw,
    rest,
)


@pytest.fixture(autouse=True)
def moments() -> None:
    MOMENTS.begin_anew()


def test_a_child_rests_and_its_next_message_wakes_it_with_its_state(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)
            await hub.aio.start_child("s-1", Sleepy, "one")
            await ledger.call("x", "s-1")
            await rest(cluster, "s-1")
            assert node.children == [], "nothing of it is left in the node"
            await ledger.call("x", "s-1")
            assert await hub.aio.ref("s-1").call("hello") == "hi one"
            await ledger.check()

    hubq_run(scenario())


def test_whatever_comes_for_a_dormant_child_wakes_it(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=4)) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            names = ["call", "cast", "many", "effect", "read", "key", "begun", "timer", "waiting"]
            await hub.aio.start_children([ChildSpec(name, Sleepy, (name,)) for name in names])
            await hub.aio.start_child("teller", Teller)
            await rest(cluster, *names)
            ref = hub.aio.ref
            assert await ref("call").call("hello") == "hi call"
            await ref("cast").cast("record", "x", 1)
            await hub.aio.cast_many([("many", "record", "x", 1), ("many", "record", "x", 2)])
            await ref("teller").call("tell", "effect", 7)
            assert await ref("read").call("name_now") == "read"
            for _ in range(2):
                assert await ref("key").options(key="k").call("record", "x", 1) == 1
            assert await ref(Sleepy, "begun", "another").begin(Sleepy.hello) == "hi begun", "it was there"
            await ref(Sleepy, "timer").cast_in(0.01, Sleepy.record, "clock", 1)
            assert await asyncio.to_thread(lambda: hub.ref("waiting").call("hello")) == "hi waiting"

            async def woken() -> bool:
                seen = [await ref(name).call("entries") for name in ("cast", "many", "effect", "key", "timer")]
                return seen == [{"x": [1]}, {"x": [1, 2]}, {"teller": [7]}, {"x": [1]}, {"clock": [1]}]

            await eventually(woken, 10, "every child has got what was for it")

    hubq_run(scenario())


def test_a_key_is_known_and_a_reminder_rings_after_a_rest(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=4)) as cluster:
            await cluster.start("a", "b")
            hub = cluster.hub
            await hub.aio.start_child("s-1", Sleepy)
            assert await hub.aio.ref("s-1").options(key="k").call("record", "x", 1) == 1
            await hub.aio.ref("s-1").call("later")
            await rest(cluster, "s-1")
            assert await hub.aio.ref("s-1").options(key="k").call("record", "x", 1) == 1, "it was run before the rest"
            await rest(cluster, "s-1")

            async def rung() -> bool:
                return bool(await hub.aio.ref("s-1").call("entries") == {"x": [1], "clock": [1]})

            await eventually(rung, 10, "the reminder has rung")

    hubq_run(scenario())


def test_a_dormant_child_can_be_stopped_and_its_name_started_again(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=2)) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            await hub.aio.start_children([ChildSpec(name, Stopping, (name,)) for name in ("s-1", "s-2")])
            await rest(cluster, "s-1", "s-2")
            await eventually(lambda: sorted(MOMENTS.stopped) == ["s-1 idle", "s-2 idle"], 5, "on_stop is called")
            with pytest.raises(AlreadyStarted):
                await hub.aio.start_child("s-1", Stopping, "again")
            await hub.aio.stop_child("s-1")
            await eventually(lambda: MOMENTS.stopped[2:] == ["s-1 stopped"], 5, "on_stop is called")
            with pytest.raises(UnknownChild):
                await hub.aio.ref("s-1").call("hello")
            assert not await is_dormant(cluster, "s-1")
            # Old messages, a stop, and at once an activation: what stands before the new start belongs to the old child.
            await hub.aio.ref("s-2").cast("record", "x", 1)
            await hub.aio.ref("s-2").cast("end")

            async def is_new() -> bool:
                try:
                    return bool(await hub.aio.ref(Stopping, "s-2", "new").call(Stopping.hello) == "hi new")
                except UnknownChild:
                    return False  # sent before the old child had ended

            await eventually(is_new, 10, "the name is another child's")
            assert await hub.aio.ref("s-2").call("entries") == {}

    hubq_run(scenario())


def test_a_child_expires_with_all_that_belongs_to_it_but_not_if_a_message_waits(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            await hub.aio.start_children([ChildSpec("s-1", Brief), ChildSpec("s-2", Brief)])
            await hub.aio.ref("s-1").call("record", "x", 1)
            await hub.aio.ref("s-1").call("lasting")
            await gone(cluster, "s-1", "s-2")
            with pytest.raises(UnknownChild):
                await hub.aio.ref("s-1").call("entries")
            left = await raw(cluster, "KEYS", f"{hub.keys.prefix}shard:0:*")
            assert {key.decode().rpartition("shard:0:")[2] for key in left} <= {"mailbox", "feed:s-1"}
            assert probe(node).counted("expired") == 2

            async def send() -> None:
                await hub.aio.ref("s-3").cast("record", "x", 1)

            await hub.aio.start_child("s-3", Brief)
            with interfere.around_script(node, "expire_children", before=send) as seen:
                await eventually(lambda: bool(seen), 10, "its time has come")
            assert await hub.aio.ref("s-3").call("entries") == {"x": [1]}

    hubq_run(scenario())


def test_those_that_are_idle_for_longest_rest_if_a_node_has_too_many(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=4, max_active=3)) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            names = [f"s-{number}" for number in range(6)]
            for name in names:
                await hub.aio.start_child(name, LedgerChild)
                await hub.aio.ref(name).call("record", "x", 1)
                await asyncio.sleep(0.002)  # each has its own time
            await eventually(lambda: len(node.children) == 3, 10, "three are left")
            assert sorted(child.child_id for child in node.children) == names[3:]
            assert await hub.aio.ref("s-0").call("record", "x", 2) == 2

    hubq_run(scenario())


@pytest.mark.parametrize("kind", ["Handed", "Interval"])
def test_a_state_that_was_never_saved_is_saved_when_its_child_rests(kind: str, make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)
            await hub.aio.start_child("s-1", {"Handed": Handed, "Interval": Interval}[kind])
            for _ in range(3):
                await ledger.call("x", "s-1")
            await rest(cluster, "s-1")
            await cluster.kill("a")
            await cluster.start("b")
            await ledger.call("x", "s-1")
            await ledger.check()

    hubq_run(scenario())


def test_children_that_may_not_rest_stay(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=2)) as cluster:
            node = await cluster.start("a")
            await cluster.start("b")
            hub = cluster.hub
            await hub.aio.start_children([ChildSpec(name, Sleepy) for name in ("moved", "other", "busy")])
            await hub.aio.start_child("unsavable", Spoilt)

            async def moved() -> bool:
                await hub.aio.ref("moved").call("hello")
                try:
                    return bool(await hub.aio.move("moved", "a"))
                except HubqError:
                    return False  # it has gone to rest again

            await eventually(moved, 10, "it is moved by hand")
            await hub.aio.ref("unsavable").call("spoil")
            busy = asyncio.ensure_future(hub.aio.ref("busy").call("wait"))
            await eventually(lambda: any(seen.busy for seen in children_here(cluster, "busy")), 10, "it is at work")
            await rest(cluster, "other")
            for name in ("moved", "unsavable", "busy"):
                assert not await is_dormant(cluster, name), name
            assert any(child.child_id == "moved" for child in node.children)
            MOMENTS.may_go.set()
            await busy
            await rest(cluster, "busy")
            await hub.aio.move("moved", None)
            await rest(cluster, "moved")

    hubq_run(scenario())


def test_messages_that_fail_count_as_messages(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            await hub.aio.start_child("s-1", Patient)
            for _ in range(20):
                with pytest.raises(CallFailed):
                    await hub.aio.ref("s-1").call("fail")
                await hub.aio.ref("s-1").call("name_now")
                await asyncio.sleep(0.02)
            assert probe(node).counted("rested") == 0
            await rest(cluster, "s-1")

    hubq_run(scenario())


def test_a_hub_knows_its_dormant_children(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=4)) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            names = [f"s-{number}" for number in range(9)]
            await hub.aio.start_children([ChildSpec(name, Sleepy, (), {}, {"tag": "t"}) for name in names])
            await hub.aio.start_child("teller", Teller)
            await hub.aio.ref("s-1").call("record", "x", 1)
            await rest(cluster, *names)

            def look() -> None:
                assert [child.child_id for child in hub.children()] == ["teller"]
                listed = hub.children(status="dormant", match="s-*", tag="t", kind="Sleepy")
                assert [child.child_id for child in listed] == names
                assert {(child.status, child.node, child.backlog) for child in listed} == {("dormant", None, 0)}
                assert hub.children(status="dormant", node="a") == [], "it is on no node"
                assert hub.inspect.dormant() == hub.inspect.glance().dormant == 9 and hub.inspect.glance().children == 1
                assert hub.child_lookup("s-1").status == "dormant"
                place = hub.where("s-1")
                assert place.dormant and place.node is None
                assert hub.get_pid("s-1") is None
                state = hub.inspect.state("s-1")
                assert state is not None and state.value()["applied"] == {"x": [1]}
                assert hub.inspect.state("s-2") is not None, "it was saved when it went to rest"
                assert hub.inspect.mailbox("s-1").messages == 0
                assert hub.inspect.diagnosis() == [] or all("s-1" not in str(each) for each in hub.inspect.diagnosis())
                with pytest.raises(HubqError, match="dormant"):
                    hub.move("s-1", "a")
                assert hub.move("s-1", None).dormant, "it has no place of its own"
                with pytest.raises(HubqError, match="dormant: it has nothing in hand"):
                    hub.kill("s-1")
                with pytest.raises(HubqError, match="dormant: it has nothing waiting"):
                    hub.drop_message("s-1", "1-0")
                left = hub.start_child("s-2", Sleepy, check_existing=False).result()
                assert left.started == {"s-2": "a"}, "it exists: it is left as it is, and counts as started"
                assert hub.child_lookup("s-2").status == "dormant"
                assert hub.stop_child_now("s-1") == "a"
                with pytest.raises(UnknownChild):
                    hub.child_lookup("s-1")
                with pytest.raises(UnknownChild):
                    hub.where("s-1")

            reading = SavedStates(hub.aio.driver.context)
            saved: dict[str, Any] = {}
            while not reading.done:
                saved |= {each.child_id: each for each in await hub.aio.driver.drive(reading.page())}
            assert sorted(saved) == [*names, "teller"] and reading.shards_read == 4
            assert all(saved[name].record.name == "Sleepy" and saved[name].envelope is not None for name in names)
            await asyncio.to_thread(look)

    hubq_run(scenario())
