"""The life of a child as a table, and its restarts."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubq.core.lifecycle import LIFE, Life, LifeEvent, RestartBudget, restarts
from hubq.core.state_machine import IllegalMove

quick = settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.too_slow], database=None
)


def reachable(start: Life) -> set[Life]:
    found, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for (before, _), after in LIFE.rows.items():
            if before is state and after not in found:
                found.add(after)
                todo.append(after)
    return found


@pytest.mark.parametrize("state", Life)
@pytest.mark.parametrize("event", LifeEvent)
def test_every_pair_is_a_row_or_illegal(state: Life, event: LifeEvent) -> None:
    if LIFE.allows(state, event):
        assert LIFE.next(state, event) is LIFE.rows[state, event]
    else:
        with pytest.raises(IllegalMove, match=re.escape(f"child: {event.value!r} cannot happen while {state.value!r}")):
            LIFE.next(state, event)


def test_every_state_is_reachable() -> None:
    assert reachable(Life.BUILT) == set(Life)


def test_every_event_can_happen() -> None:
    assert {event for _, event in LIFE.rows} == set(LifeEvent)


def test_ended_is_final_and_the_only_final_state() -> None:
    assert {state for state in Life if not any(before is state for before, _ in LIFE.rows)} == {Life.ENDED}


@pytest.mark.parametrize("state", [state for state in Life if state is not Life.ENDED])
def test_a_child_can_end_from_every_state(state: Life) -> None:
    assert LIFE.next(state, LifeEvent.END) is Life.ENDED


@pytest.mark.parametrize("state", [state for state in Life if state not in (Life.PARKED, Life.ENDED)])
def test_a_child_has_a_way_to_run(state: Life) -> None:
    assert Life.RUNNING in reachable(state)


def test_nothing_runs_before_its_state_is_there() -> None:
    assert {after for (before, _), after in LIFE.rows.items() if before is Life.BUILT} == {
        Life.STARTING,
        Life.PARKED,
        Life.ENDED,
    }


def test_labels_can_be_drawn() -> None:
    assert all(re.fullmatch(r"[a-z]+", state.value) for state in Life)
    assert all(not set(":;\n") & set(event.value) for event in LifeEvent)


# Whole numbers of seconds, so that nothing is rounded.
@quick
@given(
    most=st.integers(0, 5),
    within=st.integers(0, 20),
    steps=st.lists(st.integers(0, 12), max_size=60),
)
def test_budget_grants_all_it_may_and_no_more(most: int, within: int, steps: list[int]) -> None:
    budget = RestartBudget(most, within)
    granted: list[int] = []
    now = 0
    for step in steps:
        now += step
        recent = [at for at in granted if now - at <= within]
        allowed = budget.spend(now)
        assert allowed == (len(recent) < most)
        if allowed:
            granted.append(now)
    for first in granted:
        assert sum(first <= at <= first + within for at in granted) <= most


def test_a_refused_restart_is_not_counted() -> None:
    budget = RestartBudget(most=1, within=10)
    assert [budget.spend(at) for at in (0, 9, 10, 11)] == [True, False, False, True]


@pytest.mark.parametrize(
    ("policy", "failed", "again"),
    [
        ("permanent", True, True),
        ("permanent", False, True),
        ("transient", True, True),
        ("transient", False, False),
        ("temporary", True, False),
        ("temporary", False, False),
    ],
)
def test_restart_policies(policy: str, failed: bool, again: bool) -> None:
    assert restarts(policy, failed) is again
