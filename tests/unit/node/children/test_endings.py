"""How children end: for good, or only here."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import Life, LifeEvent
from hubq.hooks.book import Hook
from hubq.node.children import endings
from hubq.node.held.holding import Holding
from hubq.node.held.recorder import NoRecorder
from hubq.store.owners import Owner
from tests.unit.node.children.test_outcomes import Witness
from tests.unit.node.fakes import Seen, in_hand_of
from tests.unit.node.household import Household, call, cast_of, replies


class Room(Child):
    pass


class Heard:
    """What ``on_stop`` of the children of this test was told."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.times = Seen()

    def kind(self) -> type[Child]:
        heard = self

        class Parting(Child):
            async def on_stop(self, reason: str) -> None:
                heard.reasons.append(reason)
                heard.times.again()

        return Parting


def test_a_child_that_ends_takes_everything_with_it() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            ended: list[Any] = []
            home.book.add(Hook("registry_pid_removed", lambda data: ended.append(data.children)))
            hosted = home.child(Room)
            home.shard.effects.states["room-1"] = b"state"
            home.shard.effects.parked["room-1"] = "why"
            home.endings.end(hosted)
            effects = home.shard.effects
            assert effects.ended == {"room-1": "s:1"} and not effects.states and not effects.parked
            assert hosted.life is Life.ENDED and home.shard.children == {}
            assert home.events.added == [("child_stopped", {"child": "room-1", "shard": 0})]
            assert not await home.plan_due.heard(within=0.0)
            home.endings.end(hosted)  # once is enough
            assert len(home.events.added) == 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert ended == [("room-1",)]

    asyncio.run(scenario())


def test_what_waits_for_a_child_that_ends_is_refused_and_what_it_has_done_is_deleted() -> None:
    class Tally(Child):
        durability = "interval"

    async def scenario() -> None:
        async with Household(Tally) as home:
            hosted = home.child(Tally)
            hosted.waits_for_save(b"4-0")
            hosted.arm(asyncio.get_running_loop().call_later(60, lambda: None))
            hosted.offer(call("post", entry="5-0"))
            hosted.offer(cast_of("post", entry="6-0"))
            home.endings.end(hosted)
            assert sorted(home.shard.effects.done["room-1"]) == [b"4-0", b"5-0", b"6-0"]
            ((word, text),) = replies(home.shard.effects)
            assert word == "unknown_child" and "was stopped before" in text
            assert hosted.save_timer is None and hosted.queue is None

    asyncio.run(scenario())


def test_what_had_no_room_in_the_queue_of_a_child_that_ends_is_read_again_and_refused() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            hosted.offer(call("post", entry="5-0"))
            home.cursors.set_behind(
                home.shard, "room-1", b"5-0"
            )  # the rest is left in the mailbox, until there is room
            home.cursors.take_to_catch()
            home.endings.end(hosted)
            assert home.cursors.take_to_catch() == [home.shard]

    asyncio.run(scenario())


def test_the_followers_are_told_and_a_pin_without_a_child_is_news_for_the_plan() -> None:
    class Ends(Witness):
        def __init__(self) -> None:
            super().__init__()
            self.ends: list[tuple[str, str]] = []

        def ended(self, holding: Holding, child: str, start_id: str) -> None:
            self.ends.append((child, start_id))

    async def scenario() -> None:
        recorder = Ends()
        async with Household(Room) as home:
            pin = Holding(0, Owner("a", 7, 4), recorder, "room-1")
            pin.open_intake()
            home.endings.end(home.child(Room, holding=pin))
            assert recorder.ends == [("room-1", "s:1")]
            assert await home.plan_due.heard(within=0.0)

    asyncio.run(scenario())


def test_a_quiet_child_ends_without_a_word() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            home.quiet.add("room-1")
            home.endings.end(home.child(Room))
            assert home.events.added == []

    asyncio.run(scenario())


def test_stop_waits_for_the_message_in_hand_and_for_the_state() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            idle, busy, built = home.child(Room), home.child(Room, child="room-2"), home.build(Room, child="room-3")
            in_hand_of(busy, cast_of("post"))
            for hosted in (idle, busy, built):
                home.endings.stop_requested(hosted)
            assert [h.life for h in (idle, busy, built)] == [Life.ENDED, Life.RUNNING, Life.BUILT]
            assert busy.stopping and built.stopping
            home.lives.begin(built, None)
            assert built.life is Life.ENDED

    asyncio.run(scenario())


def test_a_parked_child_is_stopped_at_once_and_its_messages_go_back() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.parking.placeholder(home.shard, "room-1", home.record(Room), "no such module")
            home.shard.attach(hosted)
            home.endings.stop_parked(hosted, call("", kind="stop", entry="9-0"))
            effects = home.shard.effects
            assert effects.done == {"room-1": [b"9-0"]} and replies(effects) == [("ok", True)]
            assert effects.ended == {"room-1": "s:1"} and not effects.parked
            assert home.shard.behind == {"room-1": b"0"} and home.cursors.take_to_catch() == [home.shard]

    asyncio.run(scenario())


def test_removing_a_parked_child_forgets_it_and_a_running_one_is_only_taken_out() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            running, parked = home.child(Room), home.child(Room, child="room-2")
            parked.moved(LifeEvent.FAILED)
            waits = [asyncio.ensure_future(hosted.changed()) for hosted in (running, parked)]
            home.endings.remove(running)
            home.endings.remove(parked)
            assert home.shard.effects.ended == {"room-2": "s:1"} and home.shard.children == {}
            await asyncio.wait_for(asyncio.gather(*waits), 5)

    asyncio.run(scenario())


def test_disposing_undoes_the_message_in_hand_and_keeps_the_child_in_redis() -> None:
    heard = Heard()
    kind = heard.kind()

    async def scenario() -> None:
        async with Household(Room, kind) as home:
            busy, parting = home.child(Room), home.child(kind, child="room-2")
            message = asyncio.ensure_future(asyncio.Event().wait())
            in_hand_of(busy, cast_of("post"), message)
            busy.offer(cast_of("post", entry="6-0"))
            busy.arm(asyncio.get_running_loop().call_later(60, lambda: None))
            await home.endings.dispose([busy, parting], "migrated")
            assert message.cancelled() and busy.queue is None and busy.save_timer is None
            assert busy.life is parting.life is Life.ENDED and heard.reasons == ["migrated"]
            assert not home.shard.effects and set(home.shard.children) == {"room-1", "room-2"}

    asyncio.run(scenario())


def test_run_has_ended_before_on_stop_is_called() -> None:
    order: list[str] = []

    class Busy(Child):
        async def run(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                order.append("run has ended")

        async def on_stop(self, reason: str) -> None:
            order.append(reason)

    async def scenario() -> None:
        async with Household(Busy) as home:
            hosted = home.child(Busy)
            await asyncio.sleep(0)
            await home.endings.dispose([hosted], "parked")
            assert order == ["run has ended", "parked"] and hosted.run_task is None

    asyncio.run(scenario())


def test_ending_for_good_asks_the_child_to_let_go() -> None:
    heard = Heard()
    kind = heard.kind()

    async def scenario() -> None:
        async with Household(kind) as home:
            home.endings.end(home.child(kind))
            await heard.times.until(1)
            assert heard.reasons == ["stopped"]

    asyncio.run(scenario())


def test_on_stop_that_hangs_or_raises_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Hangs(Child):
        async def on_stop(self, reason: str) -> None:
            await asyncio.Event().wait()

    class Raises(Child):
        async def on_stop(self, reason: str) -> None:
            raise ValueError("no")

    async def scenario() -> None:
        async with Household(Hangs, Raises, stop_timeout=0.0) as home:
            hosteds = [home.child(Hangs), home.child(Raises, child="room-2")]
            await asyncio.wait_for(home.endings.dispose(hosteds, "fenced"), 5)

    asyncio.run(scenario())
    said = [record.getMessage() for record in caplog.records]
    assert said == ["on_stop of child room-2 raised", "on_stop of child room-1 took longer than 0 s"]


def test_on_stop_that_does_not_heed_its_cancellation_holds_up_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "LETTING_GO", 0.01)
    gone_on = asyncio.Event()

    class Stubborn(Child):
        async def on_stop(self, reason: str) -> None:
            while not gone_on.is_set():
                with suppress(asyncio.CancelledError):
                    await gone_on.wait()

    async def scenario() -> None:
        async with Household(Stubborn, stop_timeout=0.0) as home:
            async with asyncio.timeout(5):
                await home.endings.dispose([home.child(Stubborn)], "migrated")
            gone_on.set()

    asyncio.run(scenario())
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "on_stop of child room-1 took longer than 0 s",
        "on_stop of child room-1 goes on though it was cancelled: let CancelledError through",
    ]


def test_a_placeholder_has_nothing_to_let_go() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.parking.placeholder(home.shard, "room-1", home.record(Room), "no such module")
            await home.endings.on_stop(hosted, "parked")
            assert home.shard.unbuilt == {"room-1": set()} and isinstance(home.shard.recorder, NoRecorder)

    asyncio.run(scenario())
