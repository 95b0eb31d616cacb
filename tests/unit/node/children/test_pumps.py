"""Whose turn it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from hubq.core.child import Child
from hubq.node.children import pumps
from hubq.node.children.handler import Handle
from hubq.node.children.pumps import Pumps
from hubq.node.children.timing import timed
from hubq.node.held.holding import HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.runtime.counters import Seconds
from tests.unit.node.fakes import Seen
from tests.unit.node.household import Household, call, cast_of, replies


class Room(Child):
    async def post(self) -> None:
        """Do nothing."""


class Hands:
    """Handles messages: notes their order, and holds those up that are to be held up."""

    def __init__(self, *held_up: str) -> None:
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.begins, self.ends = Seen(), Seen()
        self.held_up = set(held_up)
        self.may_end = asyncio.Event()
        self.at_once = self.most_at_once = 0

    async def handle(self, hosted: HostedChild, in_hand: InHand) -> None:
        name = f"{hosted.child_id} {in_hand.message.entry.decode()}"
        self.begun.append(name)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.begins.again()
        try:
            if name in self.held_up:
                await self.may_end.wait()
        finally:
            self.at_once -= 1
        self.ended.append(name)
        self.ends.again()


def offer(pumps: Pumps, hosted: HostedChild, *entries: str) -> None:
    for entry in entries:
        pumps.offer(hosted, cast_of("post", entry=entry))


class Bench:
    """Two children, and pumps that handle their messages by ``hands``."""

    def __init__(self, home: Household, *held_up: str) -> None:
        self.hands = Hands(*held_up)
        self.pumps = home.pumps_with(self.hands.handle)
        self.first, self.second = home.child(Room), home.child(Room, child="room-2")

    async def end(self) -> None:
        self.hands.may_end.set()
        self.pumps.stop()
        assert await self.pumps.stopped(5.0)


def test_one_message_of_a_child_at_a_time_in_the_order_of_the_mailbox() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            bench = Bench(home, "room-1 1-0")
            offer(bench.pumps, bench.first, "1-0", "2-0", "3-0")
            await bench.hands.begins.until(1)
            offer(bench.pumps, bench.first, "4-0")
            bench.pumps.resume(bench.first)  # nobody may begin another one for it
            await asyncio.sleep(0)
            assert bench.hands.begun == ["room-1 1-0"] and bench.first.busy
            bench.hands.may_end.set()
            await bench.hands.ends.until(4)
            assert bench.hands.ended == [f"room-1 {n}-0" for n in (1, 2, 3, 4)] and bench.hands.most_at_once == 1
            await bench.end()
            assert bench.first.queue is None and bench.first.in_hand is None

    asyncio.run(scenario())


def test_a_child_that_waits_in_its_handler_holds_nobody_up() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            bench = Bench(home, "room-1 1-0")
            offer(bench.pumps, bench.first, "1-0")
            offer(bench.pumps, bench.second, "2-0", "3-0")
            await bench.hands.ends.until(2)
            assert bench.hands.ended == ["room-2 2-0", "room-2 3-0"] and bench.first.busy
            await bench.end()

    asyncio.run(scenario())


def test_what_was_done_before_a_handler_waits_is_committed_meanwhile() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            bench = Bench(home, "room-1 2-0")
            home.commit()
            home.queue.touched(home.shard)
            home.shard.effects.done["room-1"] = [b"1-0"]
            offer(bench.pumps, bench.first, "2-0")
            await asyncio.wait_for(home.queue.waits(), 5)
            assert home.queue.take() == [home.shard] and bench.first.busy
            await bench.end()

    asyncio.run(scenario())


def test_nothing_begins_while_the_lease_is_in_doubt() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            bench = Bench(home, "room-1 1-0")
            offer(bench.pumps, bench.first, "1-0", "2-0")
            await bench.hands.begins.until(1)
            home.clock.now += 4.5
            bench.hands.may_end.set()
            await bench.hands.ends.until(1)
            await asyncio.sleep(0)
            assert bench.hands.begun == ["room-1 1-0"]
            home.standing.lease.renewed(home.clock.now)
            bench.pumps.resume(bench.first)
            await bench.hands.ends.until(2)
            await bench.end()

    asyncio.run(scenario())


def test_nothing_begins_without_a_quorum_or_while_intake_is_closed() -> None:
    async def scenario() -> None:
        async with Household(Room, closed=True) as home:
            bench = Bench(home)
            offer(bench.pumps, bench.first, "1-0")
            await turns()
            home.gate.open()
            home.shard.close_intake()
            bench.pumps.resume(bench.first)
            offer(bench.pumps, bench.second, "2-0")
            await turns()
            assert bench.hands.begun == []
            home.shard.open_intake()
            bench.pumps.resume(bench.first)
            bench.pumps.resume(bench.second)
            await bench.hands.ends.until(2)
            await bench.end()

    asyncio.run(scenario())


def test_a_child_whose_queue_is_half_empty_has_room_again() -> None:
    async def scenario() -> None:
        async with Household(Room, queue_limit=4) as home:
            bench = Bench(home, "room-1 2-0")
            home.cursors.set_behind(home.shard, "room-1", b"4-0")
            offer(bench.pumps, bench.first, "1-0", "2-0", "3-0", "4-0")
            await bench.hands.begins.until(2)
            assert home.cursors.take_to_catch() == [home.shard]
            await bench.end()

    asyncio.run(scenario())


def test_a_child_whose_queue_was_large_has_room_again() -> None:
    async def scenario() -> None:
        size = len(cast_of("post").payload)
        async with Household(Room, queue_bytes=4 * size) as home:
            bench = Bench(home, "room-1 1-0", "room-1 2-0")
            home.cursors.set_behind(home.shard, "room-1", b"4-0")
            offer(bench.pumps, bench.first, "1-0", "2-0", "3-0", "4-0")
            await bench.hands.begins.until(1)
            assert home.cursors.take_to_catch() == []
            bench.hands.may_end.set()
            await bench.hands.begins.until(2)
            assert home.cursors.take_to_catch() == [home.shard]
            await bench.end()

    asyncio.run(scenario())


def test_a_message_that_cannot_be_handled_is_answered_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted, seen = home.child(Room), Seen()

            async def handle(hosted: HostedChild, in_hand: InHand) -> None:
                seen.again()
                raise ValueError("a fault of hubq's own")

            bench = home.pumps_with(handle)
            offer(bench, hosted, "1-0", "2-0")
            await seen.until(2)
            bench.stop()
            assert await bench.stopped(5.0)
            assert home.shard.effects.done == {"room-1": [b"1-0", b"2-0"]} and replies(home.shard.effects) == []
            assert hosted.in_hand is None

    asyncio.run(scenario())
    assert {record.getMessage() for record in caplog.records} == {
        "child room-1: a message could not be handled",
        "child room-1: Room.post failed (raised): a fault of hubq's own; a cast of ?, now a dead letter",
    }


def test_a_flooded_child_lets_the_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pumps, "SLICE", -1.0)
    monkeypatch.setattr(pumps, "TURN", -1.0)  # every message takes too long

    async def scenario() -> None:
        async with Household(Room) as home:
            bench = Bench(home)
            offer(bench.pumps, bench.first, "1-0", "2-0", "3-0")
            offer(bench.pumps, bench.second, "4-0")
            await bench.hands.ends.until(4)
            assert bench.hands.ended == ["room-1 1-0", "room-2 4-0", "room-1 2-0", "room-1 3-0"]
            await bench.end()

    asyncio.run(scenario())


def test_a_call_has_its_turn_before_casts_to_others_but_for_every_second_turn() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            bench = Bench(home)
            others = [home.child(Room, child=f"room-{n}") for n in range(3, 8)]
            for child in others[:3]:
                offer(bench.pumps, child, "1-0")
            assert bench.pumps.waiting == 3
            for child in (bench.first, bench.second, *others[3:]):
                bench.pumps.offer(child, call("post", entry="2-0"))
            assert bench.pumps.waiting == 3
            await bench.hands.ends.until(7)
            assert bench.hands.ended == [
                "room-1 2-0", "room-3 1-0", "room-2 2-0", "room-4 1-0", "room-6 2-0", "room-5 1-0", "room-7 2-0",
            ]  # fmt: skip
            await bench.end()

    asyncio.run(scenario())


def test_a_call_does_not_wait_for_the_casts_of_a_flooded_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pumps, "SLICE", -1.0)

    async def scenario() -> None:
        async with Household(Room) as home:
            bench = Bench(home)
            bench.pumps.offer(bench.first, call("post", entry="1-0"))  # calls come
            offer(bench.pumps, bench.first, *(f"{n}-0" for n in range(2, 22)))
            await bench.hands.ends.until(2)
            bench.pumps.offer(bench.second, call("post", entry="50-0"))
            await bench.hands.ends.until(22)
            assert bench.hands.ended.index("room-2 50-0") < 6
            await bench.end()

    asyncio.run(scenario())


def test_a_call_takes_the_casts_before_it_along() -> None:
    """Its child stands in both queues then: nothing is handled twice, or out of order."""

    async def scenario() -> None:
        async with Household(Room) as home:
            bench = Bench(home, "room-1 2-0")
            offer(bench.pumps, bench.second, "1-0")
            others = [home.child(Room, child=f"room-{n}") for n in range(3, 6)]
            for child in others:
                offer(bench.pumps, child, "1-0")
            offer(bench.pumps, bench.first, "1-0", "2-0")
            bench.pumps.offer(bench.first, call("post", entry="3-0"))
            await bench.hands.ends.until(5)  # all but what waits in its handler
            assert bench.hands.ended[0] == "room-1 1-0" and bench.first.busy
            bench.pumps.offer(bench.first, call("post", entry="4-0"))
            bench.hands.may_end.set()
            await bench.hands.ends.until(8)
            assert [name for name in bench.hands.ended if "room-1" in name] == [f"room-1 {n}-0" for n in (1, 2, 3, 4)]
            assert bench.hands.most_at_once == 2 and bench.first.queue is None
            await bench.end()

    asyncio.run(scenario())


def test_an_answer_is_committed_while_casts_wait() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            others = [home.child(Room, child=f"room-{n}") for n in range(2, 7)]
            for child in others:
                home.pumps.offer(child, cast_of("post", entry="1-0"))
            home.pumps.offer(home.child(Room), call("post", entry="2-0"))
            await home.queue.waits()
            (committed,) = home.queue.take()
            assert replies(committed.effects) and home.pumps.waiting == 5

    asyncio.run(scenario())


def test_a_child_that_is_undone_ends_only_its_own_pump() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            bench = Bench(home, "room-1 1-0")
            offer(bench.pumps, bench.first, "1-0")
            await bench.hands.begins.until(1)
            assert bench.first.in_hand is not None
            bench.first.in_hand.cancel()
            offer(bench.pumps, bench.second, "2-0")
            await bench.hands.ends.until(1)
            assert bench.hands.ended == ["room-2 2-0"] and not bench.first.busy
            await bench.end()

    asyncio.run(scenario())


def test_pumps_stop_what_runs_and_say_if_it_goes_on() -> None:
    class Stubborn(Hands):
        async def handle(self, hosted: HostedChild, in_hand: InHand) -> None:
            self.begins.again()
            while not self.may_end.is_set():
                try:
                    await self.may_end.wait()
                except asyncio.CancelledError:
                    self.ends.again()

    async def scenario() -> None:
        async with Household(Room) as home:
            hands = Stubborn()
            bench = home.pumps_with(hands.handle)
            assert await bench.stopped(0.0)
            offer(bench, home.child(Room), "1-0")
            await hands.begins.until(1)
            bench.stop()
            await hands.ends.until(1)
            assert not await bench.stopped(0.0)
            hands.may_end.set()
            assert await bench.stopped(5.0)

    asyncio.run(scenario())


def test_handlers_are_timed_where_somebody_asks_for_it() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hands, seconds = Hands("room-1 2-0"), Seconds()
            handle: Handle = timed(hands.handle, seconds)
            bench, hosted = home.pumps_with(handle), home.child(Room)
            offer(bench, hosted, "1-0", "2-0")
            await hands.begins.until(2)
            assert seconds.count == home.shard.handled == 1 and home.shard.spent == seconds.total > 0
            assert hosted.in_hand is not None
            hosted.in_hand.cancel()
            await asyncio.wait_for(hosted.at_boundary(), 5)
            assert seconds.count == 1  # it was undone

    asyncio.run(scenario())


def test_what_handles_need_not_be_a_coroutine_function() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hands = Hands()

            def handle(hosted: HostedChild, in_hand: InHand) -> Awaitable[Any]:
                return hands.handle(hosted, in_hand)

            bench = home.pumps_with(handle)
            offer(bench, home.child(Room), "1-0")
            await hands.ends.until(1)
            bench.stop()

    asyncio.run(scenario())


async def turns() -> None:
    """As many turns of the loop as anything that is about to begin would take."""
    for _ in range(10):
        await asyncio.sleep(0)


def test_who_was_ready_when_nothing_might_begin_is_not_forgotten() -> None:
    class Counter(Child):
        def __init__(self) -> None:
            self.n = 0

        async def add(self) -> None:
            self.n += 1

    async def scenario() -> None:
        async with Household(Counter, closed=True) as home:
            first, second = home.child(Counter), home.child(Counter, child="room-2")
            for hosted in (first, second):
                home.pumps.offer(hosted, cast_of("add"))
            for _ in range(5):
                await asyncio.sleep(0)  # the pump looks, and may begin nothing
            assert first.queue and second.queue
            home.gate.open()
            home.pumps.resume(first)
            async with asyncio.timeout(5):
                # (A pump that has used its turn up lets others run before it drops an empty queue.)
                while first.queue is not None or second.queue is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            assert [vars(hosted.instance)["n"] for hosted in (first, second)] == [1, 1]

    asyncio.run(scenario())
