"""How single children come to a node, each with a pin."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq.core.messages import ChildrenPassed, StartChildren
from hubq.core.phase import Phase
from hubq.node.held.holding import HostedChild
from hubq.store.owners import Owner
from tests.unit.node.arrivals.arriving import STATE, TOOK_DOWN, Arriving
from tests.unit.node.movers import a_record


def test_pins_come_with_their_states_and_are_confirmed() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins = {"one": stage.owner, "two": Owner("b", 8, 5)}
        closed_at = stage.standing.redis_now_ms() - 250
        await stage.arrivals.children_passed(ChildrenPassed("b", 1, 5, "id", closed_at, "one\ntwo"))
        pin = stage.register.get(1, "one")
        assert pin is not None and pin.open and stage.register.get(1, "two") is None
        assert stage.lives.begun == [("one", STATE, False)] and stage.pumps.resumed == ["one"]
        assert pin in stage.cursors.set_back, "its messages are read from the first one left"
        assert stage.events.added == [
            ("child_migrated", {"shard": 1, "child": "one", "source": "b", "pause_ms": "250.00"})
        ]
        assert stage.sent() == ["wake", "handover_confirmed"] and stage.counters.moved_in == 1
        assert not stage.straggling.following
        await stage.arrivals.adopt_pins(1, ["one"])
        assert len(stage.lives.begun) == 1

    asyncio.run(scenario())


def test_a_pin_that_is_found_in_owners_is_not_counted_as_moved() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins = {"one": stage.owner}
        await stage.arrivals.adopt_pins(1, ["one"])
        assert not stage.events.added and stage.counters.moved_in == 0

    asyncio.run(scenario())


def test_a_child_that_was_built_ahead_for_its_pin_is_taken() -> None:
    async def scenario() -> None:
        stage = Arriving()
        await stage.ahead.start_children(StartChildren("b", 1, "id", "one"))
        stage.pins = {"one": stage.owner}
        stage.builder.built.clear()
        await stage.arrivals.adopt_pins(1, ["one"])
        assert "one" not in stage.builder.built and stage.lives.begun

    asyncio.run(scenario())


@pytest.mark.parametrize(("wanted", "follows"), [("a", []), ("", ["one"])])
def test_a_child_that_its_shard_cannot_run_goes_back_when_it_can(wanted: str, follows: list[str]) -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins, stage.parked = {"one": stage.owner}, {"one": "no module"}
        stage.specs = {"one": a_record(place=f"{wanted} guided" if wanted else "")}
        await stage.arrivals.adopt_pins(1, ["one"])
        pin = stage.register.get(1, "one")
        assert stage.straggling.following == follows and pin is not None and pin.effects.parked == {"one": ""}

    asyncio.run(scenario())


@pytest.mark.parametrize("why", ["ended", "condemned", "broken"])
def test_a_pin_in_which_nothing_runs_is_held_closed(why: str) -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins = {"one": stage.owner}
        match why:
            case "ended":
                stage.specs = {}
            case "condemned":
                stage.parked = {"one": TOOK_DOWN}
            case _:
                stage.builder.broken = {"one"}
        await stage.arrivals.adopt_pins(1, ["one"])
        pin = stage.register.get(1, "one")
        assert pin is not None and pin.phase is Phase.CLOSED and bool(pin.children) is (why != "ended")
        assert not stage.lives.begun and not stage.straggling.following

    asyncio.run(scenario())


def test_pins_of_a_node_that_was_evicted_meanwhile_are_not_served() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins = {"one": stage.owner}
        stage.redis.may_answer.clear()
        adopting = asyncio.ensure_future(stage.arrivals.adopt_pins(1, ["one"]))
        await stage.redis.until_asked(1)
        stage.standing.void([0])
        stage.redis.may_answer.set()
        await asyncio.wait_for(adopting, 5)
        assert stage.register.get(1, "one") is None and not stage.under_way.has_pin(1, "one")

    asyncio.run(scenario())


def test_a_node_that_is_evicted_while_many_pins_come_serves_no_more_of_them() -> None:
    async def scenario() -> None:
        stage = Arriving()
        names = [f"room-{number}" for number in range(70)]
        stage.specs, stage.pins = dict.fromkeys(names, a_record()), dict.fromkeys(names, stage.owner)
        begin = stage.lives.begin

        def evicted(hosted: HostedChild, *args: Any, **more: Any) -> None:
            begin(hosted, *args, **more)
            if hosted.child_id == "room-63":
                stage.standing.void([0])

        stage.lives.begin = evicted  # type: ignore[method-assign]
        await stage.arrivals.adopt_pins(1, names)
        assert [child for child, _, _ in stage.lives.begun] == names[:64] and not stage.sent()

    asyncio.run(scenario())
