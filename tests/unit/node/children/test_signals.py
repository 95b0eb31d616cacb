"""Which copy is the active one, and who hears of it."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from hubq.core.lifecycle import Life, LifeEvent
from hubq.node.children.activity import Activity
from hubq.node.held.holding import Holding
from tests.unit.node.children.test_lives import Room
from tests.unit.node.fakes import REDIS_MS, Seen
from tests.unit.node.household import Household


class Signalled(Room):
    heard: ClassVar[list[tuple[str, str]]]
    times: ClassVar[Seen]

    def on_redundancy_signal(self, mode: str) -> None:
        self.heard.append((self.child_id, mode))
        self.times.again()


BOTH = frozenset({"active", "passive"})


def signalled() -> type[Signalled]:
    return type("Signalled", (Signalled,), {"heard": [], "times": Seen()})


def test_a_child_hears_that_it_is_active_before_its_first_message() -> None:
    async def scenario() -> None:
        kind = signalled()
        async with Household(kind, Room, heard=BOTH) as home:
            hosted = home.child(kind)
            assert hosted.life is Life.STARTING
            await asyncio.wait_for(hosted.has_started(), 5)
            assert kind.heard == [("room-1", "active")]
            assert home.child(Room, child="room-2").life is Life.RUNNING  # it does not want to know

    asyncio.run(scenario())


def test_only_what_the_hub_asks_for_is_announced_and_a_signal_that_raises_harms_nobody() -> None:
    async def scenario() -> None:
        class Raises(Room):
            async def on_redundancy_signal(self, mode: str) -> None:
                raise ValueError(mode)

        kind = signalled()
        async with Household(kind, Raises, heard=frozenset({"passive"})) as home:
            hosteds = [home.build(Raises), home.build(kind, child="room-2")]
            await home.signals.announce(hosteds, "active")
            assert kind.heard == []
            await home.signals.announce(hosteds, "passive")
            assert kind.heard == [("room-2", "passive")]

    asyncio.run(scenario())


def test_a_copy_that_ends_while_it_waits_for_its_turn_hears_nothing_more() -> None:
    async def scenario() -> None:
        kind = signalled()
        async with Household(kind, heard=BOTH) as home:
            dropped, kept = home.build(kind), home.build(kind, child="room-2")
            await home.pieces.turn()
            home.clock.now += 1.0  # the piece of this turn of the loop is used up
            told = asyncio.ensure_future(home.signals.announce([dropped, kept], "passive"))
            await asyncio.sleep(0)
            assert kind.heard == [], "both wait"
            dropped.moved(LifeEvent.END)
            await told
            assert kind.heard == [("room-2", "passive")]

    asyncio.run(scenario())


def test_a_copy_is_active_while_its_node_surely_owns_it() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            assert hosted.instance is not None and hosted.instance.redundancy_mode == "active"
            home.shard.deactivate()
            assert hosted.instance.redundancy_mode == "passive"
            home.shard.activate()
            home.clock.now += 4.5
            assert hosted.instance.redundancy_mode == "passive"
        async with Household(Room, all_active=True) as home:
            hosted = home.child(Room)
            home.clock.now += 4.5
            assert hosted.instance is not None and hosted.instance.redundancy_mode == "active"

    asyncio.run(scenario())


def test_children_hear_when_their_node_is_in_doubt_and_when_it_is_not_any_more() -> None:
    async def scenario() -> None:
        kind = signalled()
        async with Household(kind, heard=BOTH) as home:
            kept, left = home.child(kind), home.child(kind, child="room-2")
            await asyncio.gather(kept.has_started(), left.has_started())
            kind.heard.clear()
            activity = Activity(home.standing, home.signals, home.register)
            home.clock.now += 4.5
            activity.start()
            await kind.times.until(4)
            assert kind.heard == [("room-1", "passive"), ("room-2", "passive")]
            left.holding.detach("room-2")
            pin = Holding(0, home.shard.owner, home.shard.recorder, "room-2")
            pin.attach(left)
            pin.lose()
            for _ in range(5):
                await asyncio.sleep(0)  # it waits for the lease by now
            home.standing.renewed(home.standing.term, home.clock.now, REDIS_MS, 5_000)
            home.standing.trusted_again()
            await kind.times.until(5)
            assert kind.heard[2:] == [("room-1", "active")]
            await activity.stop()

    asyncio.run(scenario())


def test_nobody_watches_the_lease_where_nobody_hears_of_it() -> None:
    async def scenario() -> None:
        for heard, all_active in ((frozenset[str](), False), (BOTH, True)):
            async with Household(Room, heard=heard, all_active=all_active) as home:
                assert not home.signals.follow_trust
                activity = Activity(home.standing, home.signals, home.register)
                before = asyncio.all_tasks()
                activity.start()
                assert asyncio.all_tasks() == before
                await activity.stop()

    asyncio.run(scenario())
