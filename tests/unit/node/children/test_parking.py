"""Children that cannot run here: who is told, and what is written."""

from __future__ import annotations

import asyncio

import pytest

from hubq.core.lifecycle import Life, LifeEvent
from hubq.store.tries import TOOK_DOWN
from tests.unit.node.children.test_lives import Room
from tests.unit.node.household import Household


def test_why_a_child_is_parked_is_written_and_told() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            loud, quiet = home.child(Room), home.child(Room, child="room-2")
            home.quiet.add("room-2")
            for hosted in (loud, quiet):
                hosted.moved(LifeEvent.FAILED)
                home.parking.park(hosted, "no \ud800 network")
            assert home.shard.effects.parked == {"room-1": "no ? network", "room-2": "no ? network"}
            assert loud.reason == "no ? network" and loud.queue is None
            parked = {"child": "room-1", "shard": 0, "reason": "no ? network"}
            assert home.events.added == [("child_parked", parked)]
            await asyncio.wait_for(home.queue.waits(), 5)

    asyncio.run(scenario())


def test_a_child_that_cannot_be_built_is_to_be_offered_to_other_nodes() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.parking.placeholder(home.shard, "room-1", home.record(Room), "no such module")
            assert hosted.life is Life.PARKED and home.shard.children == {}
            assert home.shard.effects.parked == {"room-1": "no such module"}
            assert home.shard.unbuilt == {"room-1": set()} and home.shard.condemned == set()

    asyncio.run(scenario())


def test_the_log_has_the_traceback_of_what_cannot_be_built(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            error = ValueError("no room")
            home.parking.placeholder(home.shard, "room-1", home.record(Room), "ValueError: no room", error)
            assert [line.exc_info[1] for line in caplog.records if line.exc_info] == [error]

    asyncio.run(scenario())


def test_a_child_whose_start_took_nodes_down_is_kept_and_not_written_again() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.parking.placeholder(home.shard, "room-1", home.record(Room), f"{TOOK_DOWN}: b#5 and c#2")
            assert hosted.life is Life.PARKED and hosted.reason.startswith(TOOK_DOWN)
            assert home.shard.effects.parked == {}
            assert home.shard.unbuilt == {} and home.shard.condemned == {"room-1"}

    asyncio.run(scenario())
