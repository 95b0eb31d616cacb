"""Children begin with their state, and start."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import Life, LifeEvent
from hubq.node.children import lives
from hubq.node.held.holding import HostedChild
from hubq.store.codec import encode
from hubq.store.envelope import Envelope
from hubq.testing import eventually
from tests.unit.node.children.test_outcomes import Witness
from tests.unit.node.fakes import REDIS_MS
from tests.unit.node.household import Household, call, replies


class Room(Child):
    def __init__(self, n: int = 0) -> None:
        self.n = n

    async def add(self, many: int) -> int:
        self.n += many
        return self.n


class Tally(Room):
    durability = "interval"


class Slow(Room):
    """Starts when it may."""

    may_start: ClassVar[asyncio.Event]

    async def on_start(self) -> None:
        await self.may_start.wait()


def saved(n: int, cursor: str = "4-0") -> Envelope:
    return Envelope("attributes", cursor, encode({"n": n}))


def n_of(hosted: HostedChild) -> Any:
    assert isinstance(hosted.instance, Room)
    return hosted.instance.n


async def reaches(hosted: HostedChild, life: Life) -> None:
    """Wait until a child stands there."""
    async with asyncio.timeout(5):
        while hosted.life is not life:
            await hosted.changed()


def test_a_child_begins_with_its_saved_state_and_handles_what_waits() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.build(Room)
            home.pumps.offer(hosted, call("add", 2))
            home.lives.begin(hosted, saved(40))
            assert hosted.life is Life.RUNNING and hosted.saved and hosted.cursor == "4-0"
            await home.handled(hosted)
            assert replies(home.shard.effects) == [("ok", 42)]

    asyncio.run(scenario())


def test_a_child_whose_start_has_no_end_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lives, "PATIENCE", 0.01)

    async def scenario() -> None:
        Slow.may_start = asyncio.Event()
        async with Household(Slow) as home:
            hosted = home.child(Slow)
            await eventually(lambda: "on_start of child room-1 has not ended after 0.01 s" in caplog.text)
            Slow.may_start.set()
            await reaches(hosted, Life.RUNNING)

    asyncio.run(scenario())


def test_a_child_that_starts_slowly_keeps_its_messages_waiting() -> None:
    async def scenario() -> None:
        Slow.may_start = asyncio.Event()
        async with Household(Slow) as home:
            hosted = home.child(Slow)
            started = asyncio.create_task(hosted.has_started())
            home.pumps.offer(hosted, call("add", 2))
            await asyncio.sleep(0)
            assert hosted.life is Life.STARTING and not started.done() and not hosted.busy
            Slow.may_start.set()
            await asyncio.wait_for(started, 5)
            await home.handled(hosted)
            assert replies(home.shard.effects) == [("ok", 2)]

    asyncio.run(scenario())


def test_a_state_that_cannot_be_restored_parks_the_child() -> None:
    class Picky(Room):
        def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
            raise ValueError("from another world")

    async def scenario() -> None:
        async with Household(Picky) as home:
            hosted = home.build(Picky)
            home.pumps.offer(hosted, call("add", 2))
            home.lives.begin(hosted, saved(1))
            reason = "its state cannot be restored: ValueError: from another world"
            assert hosted.life is Life.PARKED and hosted.reason == reason and hosted.queue is None
            assert home.shard.effects.parked == {"room-1": reason}
            assert home.events.added == [("child_parked", {"child": "room-1", "shard": 0, "reason": reason})]
            await asyncio.wait_for(home.queue.waits(), 5)

    asyncio.run(scenario())


@pytest.mark.parametrize("error", [ValueError("no network"), asyncio.CancelledError("no network")])
def test_on_start_that_raises_parks_the_child(error: BaseException) -> None:
    class Fails(Room):
        async def on_start(self) -> None:
            raise error

    async def scenario() -> None:
        async with Household(Fails) as home:
            home.quiet.add("room-1")
            hosted = home.child(Fails)
            await asyncio.wait_for(hosted.has_started(), 5)
            assert hosted.life is Life.PARKED
            assert hosted.reason == f"on_start raised {type(error).__name__}: no network"
            assert home.events.added == []  # it is quiet

    asyncio.run(scenario())


def test_a_child_that_goes_while_it_starts_does_not_run(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        Slow.may_start = asyncio.Event()
        async with Household(Slow) as home:
            gone, stopped = home.child(Slow), home.child(Slow, child="room-2")
            home.endings.stop_requested(stopped)
            assert stopped.life is Life.ENDED
            gone.moved(LifeEvent.END)
            Slow.may_start.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert gone.life is Life.ENDED and home.shard.effects.ended == {"room-2": "s:1"}

    asyncio.run(scenario())
    assert not caplog.records  # nothing has failed


def test_the_followers_hear_of_a_child_that_begins() -> None:
    class Begins(Witness):
        begins = 0

        def begun(self, hosted: HostedChild) -> None:
            self.begins += 1

    async def scenario() -> None:
        recorder = Begins()
        async with Household(Room, recorder=recorder) as home:
            home.child(Room)
            await asyncio.wait_for(home.queue.waits(), 5)
            assert recorder.begins == 1

    asyncio.run(scenario())


def test_what_an_interval_child_answered_elsewhere_comes_again() -> None:
    async def scenario() -> None:
        async with Household(Room, Tally) as home:
            home.child(Tally)  # no node has ever had it
            assert home.shard.replays == {}
            home.lives.begin(home.build(Room, child="room-2"), None)
            home.lives.begin(home.build(Tally, child="room-3"), None)
            assert home.shard.replays == {"room-3": pytest.approx(REDIS_MS + 1000)}

    asyncio.run(scenario())
