"""The tables of a handover: every pair of state and event, what can be reached, and how it ends."""

from __future__ import annotations

import re
from enum import Enum
from itertools import product
from typing import Any

import pytest

from hubq.core.handover import SOURCE, TARGET, Source, SourceEvent, Target, TargetEvent
from hubq.core.state_machine import IllegalMove, Table

TABLES = [
    pytest.param(SOURCE, Source, SourceEvent, id="source"),
    pytest.param(TARGET, Target, TargetEvent, id="target"),
]
PAIRS = [
    *((SOURCE, state, event) for state, event in product(Source, SourceEvent)),
    *((TARGET, state, event) for state, event in product(Target, TargetEvent)),
]


def reachable(table: Table[Any, Any], start: Enum) -> set[Enum]:
    found, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for (before, _), after in table.rows.items():
            if before is state and after not in found:
                found.add(after)
                todo.append(after)
    return found


@pytest.mark.parametrize(("table", "state", "event"), PAIRS, ids=[f"{t.name} {s.name} {e.name}" for t, s, e in PAIRS])
def test_every_pair_is_a_row_or_illegal(table: Table[Any, Any], state: Enum, event: Enum) -> None:
    if table.allows(state, event):
        assert table.next(state, event) is table.rows[state, event]
    else:
        with pytest.raises(IllegalMove, match=re.escape(f"{event.value!r} cannot happen while {state.value!r}")):
            table.next(state, event)


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_rows_are_of_this_machine(table: Table[Any, Any], states: type[Enum], events: type[Enum]) -> None:
    for (before, event), after in table.rows.items():
        assert isinstance(before, states)
        assert isinstance(event, events)
        assert isinstance(after, states)


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_every_event_can_happen(table: Table[Any, Any], states: type[Enum], events: type[Enum]) -> None:
    assert {event for _, event in table.rows} == set(events)


@pytest.mark.parametrize(("table", "states", "events"), TABLES)
def test_labels_can_be_drawn(table: Table[Any, Any], states: type[Enum], events: type[Enum]) -> None:
    assert all(re.fullmatch(r"[a-z]+", state.value) for state in states)
    assert all(not set(":;\n") & set(event.value) for event in events)


def test_every_source_state_is_reachable() -> None:
    assert reachable(SOURCE, Source.SERVING) == set(Source)


def test_every_target_state_is_reachable() -> None:
    assert reachable(TARGET, Target.ABSENT) == set(Target)


def test_gone_is_final_and_the_only_final_state() -> None:
    assert {state for state in Source if not any(before is state for before, _ in SOURCE.rows)} == {Source.GONE}


def test_the_target_can_always_go_on() -> None:
    assert {before for before, _ in TARGET.rows} == set(Target)


@pytest.mark.parametrize("state", [state for state in Source if state is not Source.GONE])
def test_source_has_a_way_to_serving_or_gone(state: Source) -> None:
    after = {SOURCE.next(state, event) for event in SourceEvent if SOURCE.allows(state, event)}
    ends = set().union(*(reachable(SOURCE, each) for each in after))
    assert ends & {Source.SERVING, Source.GONE}


@pytest.mark.parametrize("state", Target)
def test_target_has_a_way_to_serving_and_to_absent(state: Target) -> None:
    assert {Target.SERVING, Target.ABSENT} <= reachable(TARGET, state)


@pytest.mark.parametrize("state", [state for state in Source if state not in (Source.DISPOSING, Source.GONE)])
def test_source_may_be_fenced_while_it_holds_the_shard(state: Source) -> None:
    assert SOURCE.next(state, SourceEvent.FENCED) is Source.DISPOSING


@pytest.mark.parametrize("state", [state for state in Target if state is not Target.ABSENT])
def test_target_may_be_fenced_once_it_has_something(state: Target) -> None:
    assert TARGET.next(state, TargetEvent.FENCED) is Target.ABSENT


def test_nothing_leads_back_once_the_token_has_passed() -> None:
    assert reachable(SOURCE, Source.DISPOSING) == {Source.DISPOSING, Source.GONE}


def test_the_token_passes_only_after_intake_closed_and_states_were_collected() -> None:
    state = Source.SERVING
    for event, after in [
        (SourceEvent.BEGIN, Source.STARTING),
        (SourceEvent.STARTED, Source.CLOSING),
        (SourceEvent.CLOSED, Source.COLLECTING),
        (SourceEvent.COLLECTED, Source.PASSING),
        (SourceEvent.PASSED, Source.DISPOSING),
        (SourceEvent.DISPOSED, Source.GONE),
    ]:
        state = SOURCE.next(state, event)
        assert state is after
    assert [before for before, event in SOURCE.rows if event is SourceEvent.PASSED] == [Source.PASSING]


def test_the_target_adopts_a_shard_from_every_state_before_restoring() -> None:
    adopts = {before for before, event in TARGET.rows if event is TargetEvent.HANDOVER}
    assert adopts == {Target.ABSENT, Target.BUILDING, Target.READY}
    assert {TARGET.next(before, TargetEvent.HANDOVER) for before in adopts} == {Target.RESTORING}
