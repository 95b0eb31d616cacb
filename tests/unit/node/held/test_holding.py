"""A holding: its phases as a table, who may wait for what, its children, its commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import product
from typing import Any

import pytest

from hubq.core.child import Child
from hubq.core.phase import PHASES, Phase, PhaseEvent
from hubq.core.state_machine import IllegalMove
from hubq.node.held.holding import Holding
from hubq.node.held.recorder import NoRecorder
from hubq.store.effects import Effects
from hubq.store.owners import Owner
from hubq.store.saying import SayingLimits
from hubq.store.spec_record import SpecRecord
from tests.unit.node.fakes import a_child, a_holding


def holding_in(phase: Phase) -> Holding:
    return Holding(0, Owner("a", 7, 3), NoRecorder(), phase=phase)


#: How each event is brought about.
ACTS: dict[PhaseEvent, Callable[[Holding], None]] = {
    PhaseEvent.OPENED: Holding.open_intake,
    PhaseEvent.CLOSED: Holding.close_intake,
    PhaseEvent.FROZEN: Holding.freeze,
    PhaseEvent.THAWED: Holding.thaw,
    PhaseEvent.LOST: Holding.lose,
}
PAIRS = list(product(Phase, PhaseEvent))


def reachable(start: Phase) -> set[Phase]:
    found, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for (before, _), after in PHASES.rows.items():
            if before is state and after not in found:
                found.add(after)
                todo.append(after)
    return found


# -- the table -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=[f"{p.name} {e.name}" for p, e in PAIRS])
def test_every_pair_is_a_row_or_illegal(phase: Phase, event: PhaseEvent) -> None:
    holding = holding_in(phase)
    if PHASES.allows(phase, event):
        holding.moved(event)
        assert holding.phase is PHASES.rows[phase, event]
    else:
        with pytest.raises(IllegalMove, match=f"holding: '{event.value}' cannot happen while '{phase.value}'"):
            holding.moved(event)
        assert holding.phase is phase


@pytest.mark.parametrize(("phase", "event"), PAIRS, ids=[f"{p.name} {e.name}" for p, e in PAIRS])
def test_each_act_takes_its_row(phase: Phase, event: PhaseEvent) -> None:
    holding = holding_in(phase)
    nothing_to_thaw = event is PhaseEvent.THAWED and not holding.frozen
    if nothing_to_thaw:
        holding.thaw()
        assert holding.phase is phase
    elif PHASES.allows(phase, event):
        ACTS[event](holding)
        assert holding.phase is PHASES.rows[phase, event]
    else:
        with pytest.raises(IllegalMove):
            ACTS[event](holding)


def test_every_event_can_happen_and_every_phase_can_be_reached() -> None:
    assert {event for _, event in PHASES.rows} == set(PhaseEvent)
    assert reachable(Phase.COMING) == set(Phase)


def test_gone_is_final_and_comes_from_everywhere() -> None:
    assert reachable(Phase.GONE) == {Phase.GONE}
    assert all(PHASES.next(phase, PhaseEvent.LOST) is Phase.GONE for phase in Phase)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.GONE])
def test_every_other_phase_has_a_way_to_open(phase: Phase) -> None:
    assert Phase.OPEN in reachable(phase)


@pytest.mark.parametrize(
    ("phase", "opened", "frozen", "gone"),
    [
        (Phase.COMING, False, False, False),
        (Phase.OPEN, True, False, False),
        (Phase.SPLITTING, True, True, False),
        (Phase.CLOSED, False, False, False),
        (Phase.PASSING, False, True, False),
        (Phase.GONE, False, False, True),
    ],
)
def test_what_a_phase_allows(phase: Phase, opened: bool, frozen: bool, gone: bool) -> None:
    holding = holding_in(phase)
    assert (holding.open, holding.frozen, holding.gone) == (opened, frozen, gone)


# -- waiting for it ------------------------------------------------------------------------------------------------


def waits(work: Coroutine[Any, Any, Any], *acts: Callable[[], None]) -> Any:
    """Begin to wait; after each act but the last it is waited for still. What the wait says at last."""

    async def scenario() -> Any:
        wait = asyncio.create_task(work)
        await settled()
        for act in acts:
            assert not wait.done()
            act()
            await settled()
        return await asyncio.wait_for(wait, 5)

    return asyncio.run(scenario())


def ignored(_: object) -> None:
    """What an act answers does not matter."""


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_waiting_for_intake_ends_when_it_opens_or_never_will() -> None:
    assert waits(holding_in(Phase.OPEN).is_open()) is True
    assert waits(holding_in(Phase.SPLITTING).is_open()) is True
    assert waits(holding_in(Phase.GONE).is_open()) is False
    came = holding_in(Phase.COMING)
    assert waits(came.is_open(), came.close_intake, came.open_intake) is True
    back = holding_in(Phase.PASSING)
    assert waits(back.is_open(), back.thaw, back.open_intake) is True
    passed = holding_in(Phase.PASSING)
    assert waits(passed.is_open(), passed.lose) is False


def test_waiting_for_rest_ends_with_the_motion_or_the_holding() -> None:
    assert waits(holding_in(Phase.OPEN).is_at_rest()) is True
    back, passed = holding_in(Phase.OPEN), holding_in(Phase.OPEN)
    back.begin_motion()
    passed.begin_motion()
    assert waits(back.is_at_rest(), back.close_intake, back.open_intake, back.end_motion) is True
    assert waits(passed.is_at_rest(), passed.close_intake, passed.freeze, passed.lose) is False
    assert waits(passed.is_at_rest()) is False  # though the motion is not over


def test_waiting_for_what_comes_ends_when_it_is_here_or_gone() -> None:
    assert waits(holding_in(Phase.CLOSED).has_opened_once()) is True
    came, never = holding_in(Phase.COMING), holding_in(Phase.COMING)
    assert waits(came.has_opened_once(), came.open_intake) is True
    assert waits(never.has_opened_once(), never.lose) is False


def test_waiting_for_commits_ends_when_they_go_on_or_never_will() -> None:
    assert waits(holding_in(Phase.OPEN).may_commit()) is True
    assert waits(holding_in(Phase.CLOSED).may_commit()) is True
    assert waits(holding_in(Phase.GONE).may_commit()) is False
    split, passed = holding_in(Phase.SPLITTING), holding_in(Phase.PASSING)
    assert waits(split.may_commit(), split.end_motion, split.thaw) is True
    assert waits(passed.may_commit(), passed.lose) is False


def test_the_end_of_a_departure_of_single_children_is_a_change() -> None:
    async def scenario() -> None:
        holding = holding_in(Phase.OPEN)
        holding.begin_departure(["room-1"])
        change = holding.changed()
        holding.end_departure(["room-1"])
        assert change.done() and not holding.departing

    asyncio.run(scenario())


def test_several_wait_and_one_that_gives_up_takes_nobody_along() -> None:
    async def scenario() -> None:
        holding = holding_in(Phase.COMING)
        first, second = (asyncio.create_task(holding.is_open()) for _ in range(2))
        await settled()
        assert holding.changed() is holding.changed()
        first.cancel()
        await settled()
        holding.open_intake()
        assert await asyncio.wait_for(second, 5) is True and first.cancelled()

    asyncio.run(scenario())


# -- its children --------------------------------------------------------------------------------------------------


class Room(Child):
    pass


def test_a_child_belongs_to_the_holding_that_it_was_attached_to_last() -> None:
    shard, pin = a_holding(), a_holding(pinned="room-1")
    hosted = a_child(shard)
    assert shard.detach("room-1") is hosted and shard.detach("room-1") is None
    pin.attach(hosted)
    assert hosted.holding is pin and pin.children == {"room-1": hosted} and shard.children == {}


def test_a_child_that_waits_for_its_place_is_served_nowhere() -> None:
    holding, record = a_holding(), SpecRecord("Room", "tests", "s:1")
    holding.wait_for_place("room-1", record)
    assert holding.apart == {"room-1"} and holding.unplaced == {"room-1": record}
    assert holding.placed("room-1") and not holding.placed("room-1")
    assert holding.apart == {"room-1"}  # it has a pin now
    holding.take_back("room-1")
    holding.set_apart(["room-2", "room-3"])
    assert holding.apart == {"room-2", "room-3"}


def test_what_is_known_of_single_children() -> None:
    holding = a_holding()
    holding.guide("room-1")
    holding.begin_departure(["room-1", "room-2"])
    holding.end_departure(["room-2", "room-3"])
    holding.cannot_build("room-4")
    holding.offered("room-4", "b", 9)
    holding.condemn("room-5")
    holding.condemn("room-6")
    holding.pardon("room-5")
    holding.pardon("room-5")
    holding.replays_before("room-7", 5.0)
    assert holding.guided == {"room-1"} and holding.departing == {"room-1"}
    assert holding.unbuilt == {"room-4": {("b", 9)}} and holding.condemned == {"room-6"}
    assert holding.replays == {"room-7": 5.0}
    holding.can_build("room-4")
    holding.can_build("room-4")
    assert holding.unbuilt == {}


# -- its commits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", Phase)
def test_what_is_due(phase: Phase) -> None:
    async def scenario() -> None:
        holding = holding_in(phase)
        assert not holding.is_due
        waiter = holding.next_commit()
        may = phase not in (Phase.SPLITTING, Phase.PASSING, Phase.GONE)
        assert holding.is_due == may
        assert holding.take_waiters() == [waiter] and not holding.is_due
        holding.effects.done["room-1"] = [b"5-0"]
        assert holding.is_due == may

    asyncio.run(scenario())


def test_effects_that_were_not_committed_come_before_later_ones() -> None:
    holding = a_holding()
    holding.effects.done["room-1"], holding.effects.states["room-1"] = [b"5-0"], b"old"
    taken = holding.take_effects(5000, SayingLimits())
    assert taken.reply_ttl_ms == 5000 and not holding.effects
    holding.effects.done["room-1"], holding.effects.states["room-1"] = [b"6-0"], b"new"
    holding.give_back_effects(taken)
    assert holding.effects.done == {"room-1": [b"5-0", b"6-0"]} and holding.effects.states == {"room-1": b"new"}


def test_whoever_waits_for_a_commit_is_told_that_there_will_be_none() -> None:
    async def scenario() -> None:
        holding, other = a_holding(), a_holding()
        waits = [holding.next_commit(), other.next_commit()]
        holding.add_waiters(other.take_waiters())
        holding.lose()
        holding.lose()
        assert all(wait.cancelled() for wait in waits)
        holding.freeze()
        holding.thaw()
        holding.close_intake()  # nothing of it is of any use now
        assert holding.phase is Phase.GONE

    asyncio.run(scenario())


def test_the_rest_of_what_is_known() -> None:
    holding = a_holding(shard=3, pinned="room-1")
    assert repr(holding) == "<Holding 3/room-1 'a 7 3' open>" and isinstance(holding.effects, Effects)
    holding.owned_by(Owner("a", 7, 4))
    holding.straggle()
    holding.deactivate()
    holding.spent_on_message(0.5)
    holding.spent_on_message(0.25)
    assert holding.owner.token == 4 and holding.straggles and not holding.active
    assert (holding.handled, holding.spent) == (2, 0.75)
    holding.stay()
    holding.activate()
    assert not holding.straggles and holding.active
