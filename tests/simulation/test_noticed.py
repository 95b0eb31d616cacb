"""Every mutation is noticed: hubq without what it removes breaks a guarantee, and a test says so."""

from __future__ import annotations

import pytest

from hubq.core.state_machine import IllegalMove
from tests.simulation.mutations import MUTATIONS, mutated
from tests.simulation.noticed import MOMENTS, OWN_FAULTS, SCHEDULES, UNBROKEN, looked
from tests.simulation.runner import replay_command

#: A look at all schedules of a mutation that none of them notices any more, on a busy machine, seconds.
LONGEST = 280


def test_every_mutation_has_its_line_in_one_of_the_tables() -> None:
    assert set(SCHEDULES) | set(MOMENTS) == set(MUTATIONS)


@pytest.mark.long
@pytest.mark.timeout(LONGEST + 20)
@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_notices_it(name: str) -> None:
    notice = looked(name, LONGEST)
    assert notice.seed, f"removed: {MUTATIONS[name].what}; {notice.tried} schedules noticed nothing"
    assert not any(fault in notice.breach for fault in OWN_FAULTS), f"the mutation is broken itself: {notice.breach}"


@pytest.mark.parametrize("name", MOMENTS)
def test_its_moment_notices_it(name: str) -> None:
    moment = MOMENTS[name]
    moment()
    with mutated(name), pytest.raises((AssertionError, TimeoutError, IllegalMove)):
        moment()


@pytest.mark.long
@pytest.mark.timeout(LONGEST + 20)
def test_nothing_is_noticed_in_these_schedules_when_nothing_is_removed() -> None:
    notice = looked("", LONGEST)
    assert not notice.seed, f"{notice.breach}\n  {replay_command(notice.seed)}"
    assert notice.tried == len(UNBROKEN.seeds)
