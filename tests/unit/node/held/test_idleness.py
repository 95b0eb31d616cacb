"""Since when children have had no message; and messages of children that are not here."""

from __future__ import annotations

import asyncio

from hubq import Child
from hubq.core.lifecycle import LifeEvent
from hubq.node.held.idleness import Idleness
from hubq.node.held.strangers import Strangers
from hubq.store.message import Message

from ..household import Household


class Plain(Child):
    pass


class Sleepy(Child):
    idle_after = 8.0


class Brief(Child):
    expire_after = 4.0


def test_nothing_is_kept_of_children_that_never_rest() -> None:
    async def scenario() -> None:
        async with Household(Plain) as home:
            idleness, hosted = Idleness(bounded=False), home.child(Plain)
            assert not idleness.concerns(Plain)
            idleness.touched(hosted, 6.0)
            assert idleness.last_ms(hosted) == 0 and idleness.look_every is None

    asyncio.run(scenario())


def test_the_cursor_tells_and_what_it_does_not_tell_is_noted() -> None:
    async def scenario() -> None:
        async with Household(Sleepy, Brief) as home:
            idleness, hosted = Idleness(bounded=False), home.child(Sleepy)
            idleness.began(hosted, 5_000.0)
            assert idleness.last_ms(hosted) == 5_000, "it has had no message: its time counts from its start"
            hosted.holds_until("7000-1")
            assert idleness.last_ms(hosted) == 7_000
            idleness.touched(hosted, 9_000.0)
            assert idleness.last_ms(hosted) == 9_000
            idleness.clean()
            assert idleness.last_ms(hosted) == 9_000
            hosted.holds_until("9500-0")
            idleness.clean()
            hosted.holds_until("1-0")
            assert idleness.last_ms(hosted) == 1, "what the cursor has told was forgotten"
            idleness.touched(hosted, 9_000.0)
            home.shard.detach(hosted.child_id)
            idleness.clean()
            assert idleness.last_ms(hosted) == 1, "so is a child that has left"
            assert idleness.look_every == 2.0
            idleness.began(home.child(Brief, child="b"), 1.0)
            assert idleness.look_every == 1.0, "the shortest counts"

    asyncio.run(scenario())


def test_a_node_with_a_bound_watches_every_class() -> None:
    async def scenario() -> None:
        async with Household(Plain) as home:
            idleness, hosted = Idleness(bounded=True), home.child(Plain)
            idleness.began(hosted, 5.0)
            assert idleness.concerns(Plain) and idleness.last_ms(hosted) == 5.0 and idleness.look_every == 1.0

    asyncio.run(scenario())


def test_a_child_at_rest_handles_nothing_and_goes_on_if_it_stays() -> None:
    async def scenario() -> None:
        async with Household(Plain) as home:
            hosted = home.child(Plain)
            hosted.rest()
            assert hosted.rests and not hosted.open
            hosted.stay_active()
            assert not hosted.rests and hosted.open
            hosted.stay_active()
            hosted.moved(LifeEvent.END)

    asyncio.run(scenario())


def entry(number: int) -> bytes:
    return f"{number}-0".encode()


def message(number: int, child: str = "c") -> Message:
    return Message(entry(number), "call", child, "say", "1", "s", 0, b"")


def test_messages_of_strangers_are_kept_in_order_up_to_a_bound() -> None:
    async def scenario() -> None:
        async with Household(Plain) as home:
            strangers, shard = Strangers(limit=2), home.shard
            for number in (1, 2, 3, 4):
                strangers.add(shard, message(number))
            strangers.add(shard, message(5, "d"))
            assert strangers.wanted(shard, 9) == ["c", "d"] and strangers.wanted(shard, 1) == ["c"]
            assert strangers.has(shard, "c") and not strangers.has(shard, "e")
            stranger = strangers.take(shard, "c")
            assert [each.entry for each in stranger.messages] == [entry(1), entry(2)] and stranger.left == entry(2)
            assert strangers.take(shard, "nobody").messages == []
            strangers.leave(shard, "e", entry(7))
            strangers.leave(shard, "e", entry(9))
            strangers.add(shard, message(8, "e"))
            assert strangers.take(shard, "e").left == entry(7), "all from there on is read again"
            strangers.not_yet(shard, "d")
            assert strangers.wanted(shard, 9) == [], "it is being put away"
            strangers.may_come(shard, "d")
            assert strangers.wanted(shard, 9) == ["d"] and strangers.holdings() == [shard]
            strangers.drop(shard)
            assert strangers.holdings() == []

    asyncio.run(scenario())
