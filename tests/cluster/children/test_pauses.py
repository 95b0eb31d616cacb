"""A paused child begins no message, whatever becomes of the nodes, and loses none (docs/guide-pause.md)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import CallTimeout, Child, ChildPaused, ConfigError, Hub, Pause, Replication, Retry, UnknownChild, read
from hubq.testing import Cluster, Ledger, LedgerChild, eventually
from tests.cluster.scenes import awaited, started

GATES: dict[str, asyncio.Event] = {}
BEGUN: list[str] = []


@pytest.fixture(autouse=True)
def nothing_held() -> None:
    GATES.clear()
    BEGUN.clear()


class Room(LedgerChild):
    """Tells what it begins; looks while it is paused."""

    async def record(self, sender: str, number: int) -> int:
        BEGUN.append(self.child_id)
        return await super().record(sender, number)

    async def slow(self) -> str:
        BEGUN.append("slow")
        await GATES.setdefault(self.child_id, asyncio.Event()).wait()
        return "done"

    @read
    async def count(self) -> int:
        return sum(map(len, self.applied.values()))

    async def tick(self) -> None:
        self.applied.setdefault("tick", []).append(len(self.applied.get("tick", [])) + 1)

    async def every(self, seconds: float, late: str) -> None:
        self.remind("tick", every=seconds, call=Room.tick, late=late)


class Desk(Room):
    pass


class Demanded(Room):
    activate = True


class Sleepy(Room):
    idle_after = 0.05


class Trying(Room):
    retry = Retry(max=5, wait=0.05)

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    async def stumble(self) -> int:
        BEGUN.append("stumble")
        if len(BEGUN) < 3:
            raise ValueError("not yet")
        return len(BEGUN)


class Runner(Child):
    def __init__(self) -> None:
        self.turns = 0

    async def run(self) -> None:
        while True:
            self.turns += 1
            BEGUN.append("turn")
            await asyncio.sleep(0.01)

    async def call(self) -> int:
        return self.turns


async def cast_all(ledger: Ledger, *children: str, count: int = 5) -> None:
    for _ in range(count):
        for child in children:
            await ledger.cast("ann", child)


async def is_held(hub: Hub, child: str, why: str) -> None:
    """Its node has read a call to it, and does not begin it."""
    with pytest.raises(CallTimeout, match=why) as overdue:
        await hub.aio.ref(child).call("record", "carl", 1, timeout=0.3)
    assert not overdue.value.may_run


@awaited
async def test_a_paused_class_waits_reads_answer_and_nothing_is_lost(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    ledger = Ledger(hub)
    async with Cluster(hub) as cluster:
        await cluster.start("a", "b")
        await started(hub, room_1=Room, room_2=Room, desk_1=Desk)
        assert await hub.aio.pause(Room, why="a migration") and not await hub.aio.pause(Room)
        await cast_all(ledger, "room-1", "room-2", "desk-1")
        assert await ledger.call("bob", "desk-1") == 1
        assert await hub.aio.ref("room-1").call("count") == 0
        assert {*BEGUN} == {"desk-1"}
        assert [str(pause) for pause in await hub.aio.pauses()] == ["class Room is paused (a migration)"]
        assert (await hub.aio.where("room-1")).paused == "class Room is paused (a migration)"
        assert {child.child_id: bool(child.paused) for child in await hub.aio.children()} == {
            "room-1": True, "room-2": True, "desk-1": False,
        }  # fmt: skip
        assert await hub.aio.resume(Room) and not await hub.aio.resume(Room)
        assert await ledger.breaches() == []
        assert await hub.aio.pauses() == []


@awaited
async def test_a_message_in_hand_ends_and_no_other_is_begun(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, room_1=Room)
        slow = asyncio.create_task(hub.aio.ref("room-1").call("slow"))
        await eventually(lambda: BEGUN == ["slow"], what="it is in hand")
        await hub.aio.pause(child="room-1")
        await hub.aio.ref("room-1").cast("record", "ann", 1)
        GATES["room-1"].set()
        assert await slow == "done"
        with pytest.raises(CallTimeout, match="child room-1 is paused") as overdue:
            await hub.aio.ref("room-1").call("record", "bob", 1, timeout=0.2)
        assert not overdue.value.may_run and BEGUN == ["slow"]
        await hub.aio.resume(child="room-1")
        await eventually(lambda: BEGUN == ["slow", "room-1"], what="it goes on, without the call that was overdue")


@awaited
async def test_a_pause_outlives_moves_kills_joins_and_the_last_node(make_hub: Any) -> None:
    hub = make_hub(shards=8)
    ledger = Ledger(hub)
    names = [f"room-{number}" for number in range(8)]
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, **{name.replace("-", "_"): Room for name in names})
        await cast_all(ledger, *names, count=2)
        assert await ledger.breaches() == []
        await hub.aio.pause()
        BEGUN.clear()
        await cast_all(ledger, *names, count=3)
        await cluster.start("b")
        await cluster.settled()
        await cluster.kill("a")
        await cluster.settled()
        await cluster.start("c")
        await hub.aio.move("room-1", "c")
        await cluster.drain("b")
        await cluster.drain("c")
        await cluster.start("d")
        await cluster.settled()
        await hub.aio.start_child("late", Room)
        await cast_all(ledger, "late", count=2)
        for name in ("room-1", "late"):
            await is_held(hub, name, "the hub is paused")
        assert BEGUN == []
        await hub.aio.resume()
        assert await ledger.breaches() == []
        assert len(BEGUN) == 3 * len(names) + 2


@awaited
async def test_pauses_lie_upon_one_another(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, room_1=Room)
        await hub.aio.pause(child="room-1")
        await hub.aio.pause(Room)
        await hub.aio.pause()
        assert [pause.field for pause in await hub.aio.pauses()] == ["hub", "class Room", "child room-1"]
        await hub.aio.ref("room-1").cast("record", "ann", 1)
        for meant in ({}, {"target": Room}):
            assert await hub.aio.resume(**meant)
            assert await hub.aio.ref("room-1").call("count") == 0
        assert BEGUN == []
        assert await hub.aio.resume(child="room-1")
        await eventually(lambda: BEGUN == ["room-1"], what="it goes on")


@awaited
async def test_the_pause_of_a_child_ends_with_it(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, room_1=Room)
        await hub.aio.pause(child="room-1")
        await hub.aio.stop_child_now("room-1")
        assert await hub.aio.pauses() == []
        await hub.aio.start_child("room-1", Room)
        assert await hub.aio.ref("room-1").call("record", "ann", 1) == 1


@pytest.mark.parametrize("late", ["once", "skip"])
def test_reminders_wait_and_are_late(make_hub: Any, late: str) -> None:
    @awaited
    async def scenario() -> None:
        hub = make_hub(shards=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, room_1=Room)
            await hub.aio.ref("room-1").call("every", 0.4, late)
            await hub.aio.pause(Room)
            (before,) = await asyncio.to_thread(hub.inspect.reminders, "room-1")
            await asyncio.sleep(1.3)  # several ticks pass: that is what is tested
            assert (await hub.aio.child_lookup("room-1")).backlog == 0
            (since,) = await asyncio.to_thread(hub.inspect.reminders, "room-1")
            assert since.due == before.due
            await hub.aio.resume(Room)
            await eventually(lambda: hub.aio.ref("room-1").call("count"), what="a tick was handled", within=20.0)
            assert await hub.aio.ref("room-1").call("count") <= 2, (
                "one for all that were missed, and perhaps the next one"
            )

    scenario()


@awaited
async def test_a_message_that_waits_for_another_try_waits_for_both(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, room_1=Trying)
        call = asyncio.create_task(hub.aio.ref("room-1").call("stumble", timeout=30))
        await eventually(lambda: len(BEGUN) == 1, what="it has failed once")
        await hub.aio.pause(child="room-1")
        tried = len(BEGUN)
        await hub.aio.ref("room-1").call("count")
        assert len(BEGUN) == tried
        await hub.aio.resume(child="room-1")
        assert await call == 3


@awaited
async def test_run_goes_on_and_its_child_does_not_answer(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, runner=Runner)
        await hub.aio.pause()
        turns = len(BEGUN)
        await eventually(lambda: len(BEGUN) > turns + 3, what="run() goes on")
        with pytest.raises(CallTimeout, match="the hub is paused"):
            await hub.aio.ref("runner").call("call", timeout=0.1)


@awaited
async def test_a_copy_that_takes_over_is_paused(make_hub: Any) -> None:
    hub = make_hub(shards=2, redundancy=Replication(2, "active_active"))
    ledger = Ledger(hub)
    async with Cluster(hub) as cluster:
        await cluster.start("a", "b")
        await started(hub, room_1=Room, room_2=Room)
        await cast_all(ledger, "room-1", "room-2", count=2)
        assert await ledger.breaches() == []
        await hub.aio.pause(Room)
        BEGUN.clear()
        await cast_all(ledger, "room-1", "room-2", count=2)
        await cluster.kill("a")
        await cluster.settled()
        for name in ("room-1", "room-2"):
            await is_held(hub, name, "class Room is paused")
        assert BEGUN == []
        await hub.aio.resume(Room)
        assert await ledger.breaches() == []


@awaited
async def test_what_cannot_be_paused(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, room_1=Room)
        with pytest.raises(UnknownChild):
            await hub.aio.pause(child="nobody")
        for wrong in ({"target": Room, "child": "room-1"}, {"why": "two\nlines"}, {"target": int}, {"timeout": 0}):
            with pytest.raises(ConfigError):
                await hub.aio.pause(**wrong)
        assert await hub.aio.pauses() == [] and not await hub.aio.resume(child="nobody")


@awaited
async def test_a_frozen_node_is_named_and_heeds_it_when_it_wakes(make_hub: Any) -> None:
    hub = make_hub(shards=2, lease=10.0)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, room_1=Room)
        cluster.freeze("a")
        with pytest.raises(CallTimeout, match=r"a has not said within 0\.1 s that it heeds that"):
            await hub.aio.pause(Room, timeout=0.1)
        cluster.thaw("a")
        assert not await hub.aio.pause(Room)
        await hub.aio.ref("room-1").cast("record", "ann", 1)
        assert await hub.aio.ref("room-1").call("count") == 0 and BEGUN == []


@awaited
async def test_what_is_no_pause_is_passed_over(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        a = await cluster.start("a")
        await started(hub, room_1=Room)
        connection = hub.rq_queue.connection
        connection.hset(hub.keys.pauses, mapping={"what ever": "1 x", "class": "1 ", "child room-1": "soon", "#": "7"})
        await hub.aio.pause(Desk)
        assert await hub.aio.ref("room-1").call("record", "ann", 1) == 1
        assert [pause.field for pause in await hub.aio.pauses()] == ["class Desk"]
        assert a.counters.malformed == 3


@awaited
async def test_a_message_may_ask_to_be_refused(make_hub: Any) -> None:
    hub = make_hub()
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, room=Room, desk=Desk, sleepy=Sleepy)
        hub.child(Demanded)
        eager, ledger = hub.aio.ref("room").options(if_paused="refuse"), Ledger(hub)
        assert await eager.call("record", "ann", 1) == 1, "it is not paused"
        ledger.sent["ann", "room"] = [1]
        for pause in ({"target": Room}, {"child": "room"}, {}):
            await hub.aio.pause(**pause, why="a migration")
            with pytest.raises(
                ChildPaused, match=r"^child 'room' was not sent the message: .* is paused \(a migration\); see"
            ):
                await eager.call("record", "ann", 2)
            with pytest.raises(ChildPaused):
                await eager.cast("record", "ann", 2)
            with pytest.raises(ChildPaused):
                await eager.begin("record", "ann", 2)
            with pytest.raises(ChildPaused):
                await asyncio.to_thread(hub.ref("room").options(if_paused="refuse").call, "record", "ann", 2)
            await hub.aio.resume(**pause)
        await hub.aio.pause(Room)
        assert await hub.aio.ref("desk").options(if_paused="refuse").call("record", "ann", 1) == 1, "another class"
        await ledger.cast("ann", "room")  # waits, as ever
        await hub.aio.resume(Room)
        await hub.aio.pause(Demanded)
        with pytest.raises(ChildPaused):
            await hub.aio.ref(Demanded, "new").options(if_paused="refuse").call(Demanded.record, "ann", 1)
        with pytest.raises(UnknownChild):
            await hub.aio.ref("new").call("entries")
        await eventually(lambda: hub.aio.children(status="dormant"), 20, "it rests")
        await hub.aio.pause(child="sleepy")
        with pytest.raises(ChildPaused):
            await hub.aio.ref("sleepy").options(if_paused="refuse").cast("record", "ann", 1)
        await ledger.check()
        with pytest.raises(ConfigError, match="if_paused='no': give one of 'wait', 'refuse'"):
            eager.options(if_paused="no")  # type: ignore[arg-type]


def test_code_that_waits_pauses_alike(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    assert hub.pause(Room, why="deploying") and hub.pauses()[0] == Pause(
        "class", "Room", hub.pauses()[0].since, "deploying"
    )
    assert hub.resume(Room) and hub.pauses() == []
