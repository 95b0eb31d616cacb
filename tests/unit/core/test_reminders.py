"""What may be asked for as a reminder; each mistake is an error that says what to give."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubq.core.reminders import LATE, Timing, checked_late, checked_name, fire, timing_of
from hubq.errors import InvalidReminder

NOW = 1_700_000_000_000


@pytest.mark.parametrize("name", ["", "x" * 129, "ü" * 65, "two\nlines", "\ud800", 5, None])
def test_a_name_is_1_to_128_bytes_that_can_be_printed(name: Any) -> None:
    with pytest.raises(InvalidReminder, match="give 1 to 128 bytes of printable text"):
        checked_name(name)


@pytest.mark.parametrize("name", ["x", "x" * 128, "ü" * 64, "a name with blanks"])
def test_others_are_taken(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("late", ["", "twice", None, 1])
def test_late_is_one_of_three_words(late: Any) -> None:
    with pytest.raises(InvalidReminder, match="give one of 'once', 'all', 'skip'"):
        checked_late(late)


@pytest.mark.parametrize(
    ("after", "at", "every", "says"),
    [
        (None, None, None, "a reminder without a time: give after=, at= or every="),
        (5, NOW / 1000 + 5, None, "give one of them"),
        (-0.1, None, None, "after=-0.1: give seconds from 0"),
        (True, None, None, "after=True: give seconds"),
        (float("nan"), None, None, "after=nan: give seconds"),
        (1e12, None, None, "give seconds from 0 to 3153600000"),
        ("5", None, None, "after='5': give seconds"),
        (None, NOW / 1000 - 60, None, "at is 60.0 s in the past: give a time to come, or after=0 for at once"),
        (None, datetime(2030, 1, 1), None, "has no time zone: give datetime.now"),
        (None, -5, None, "give seconds since the epoch"),
        (None, "tomorrow", None, "at='tomorrow': give seconds since the epoch"),
        (None, None, 0.05, "every=0.05: give seconds from 0.1"),
        (None, None, float("inf"), "every=inf: give seconds"),
        (None, None, "x" * 100, "every='xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...: give seconds"),
    ],
)
def test_a_time_that_is_none_is_refused(after: Any, at: Any, every: Any, says: str) -> None:
    with pytest.raises(InvalidReminder) as refused:
        timing_of(NOW, after, at, every)
    assert says in str(refused.value)


def test_times_are_in_ms_and_a_little_in_the_past_is_now() -> None:
    assert timing_of(NOW, 0, None, None) == Timing(NOW)
    assert timing_of(NOW, None, NOW / 1000 - 0.5, None) == Timing(NOW - 500)
    assert timing_of(NOW, None, datetime.fromtimestamp(NOW / 1000 + 1, UTC), 2) == Timing(NOW + 1000, 2000)


@given(
    late=st.integers(0, 10_000_000), every=st.one_of(st.just(0), st.integers(100, 1_000_000)), how=st.sampled_from(LATE)
)
def test_ticks_lie_on_the_grid_of_the_first_one(late: int, every: int, how: str) -> None:
    fired = fire(Timing(NOW, every), how, NOW + late)
    if every == 0:
        assert fired.next_ms is None and fired.sends is (how != "skip" or late <= 1_000)
        return
    assert fired.next_ms is not None and (fired.next_ms - NOW) % every == 0
    if how == "all":
        assert fired == (True, NOW + every)
    else:
        assert NOW + late < fired.next_ms <= NOW + late + every
        assert fired.sends is (how == "once" or (late % every) <= 1_000)
