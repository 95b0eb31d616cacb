"""When an event loop is blocked, and when it is stalled: judged by its beats, and by what held the process up."""

from __future__ import annotations

import pytest

from hubq.core.stillness import Sight, Stillness


def looks(still: Stillness, beat_at: float, *times: float) -> list[Sight]:
    return [still.look(now, beat_at) for now in times]


def every(step: float, until: float) -> list[float]:
    return [round(n * step, 3) for n in range(int(until / step) + 1)]


def test_a_loop_that_beats_is_not_blocked_however_late_a_beat_may_be() -> None:
    still = Stillness(60.0)
    assert looks(still, 0.0, 0.3, 0.9, 1.2) == [Sight.TURNS] * 3
    assert still.since is None


def test_the_word_comes_after_twice_as_long_each_time() -> None:
    still = Stillness(60.0)
    times = every(0.25, 40.0)
    said = [now for now in times if still.look(now, 0.0) is Sight.BLOCKED]
    assert said == [1.25, 2.0, 4.0, 8.0, 16.0, 32.0]


def test_looks_that_come_seldom_say_it_once_each() -> None:
    still = Stillness(0.0)
    assert looks(still, 0.0, 10.0, 10.5, 20.0) == [Sight.BLOCKED, Sight.STILL, Sight.BLOCKED]


def test_it_is_stalled_once_and_only_past_the_limit() -> None:
    still = Stillness(5.0)
    found = [still.look(now, 0.0) for now in every(0.25, 9.0)]
    assert found.count(Sight.STALLED) == 1
    assert every(0.25, 9.0)[found.index(Sight.STALLED)] == 5.25


def test_each_time_it_stands_still_begins_anew() -> None:
    still = Stillness(5.0)
    looks(still, 0.0, 1.3, 4.0)
    assert still.look(4.6, 4.5) is Sight.FREED
    assert still.lasted == 4.5
    assert looks(still, 4.5, 5.0, 6.0, 8.0, 9.7)[1:] == [Sight.BLOCKED, Sight.BLOCKED, Sight.STALLED]


def test_without_a_limit_it_is_never_stalled() -> None:
    still = Stillness(0.0)
    assert Sight.STALLED not in [still.look(now, 0.0) for now in every(10.0, 100_000.0)]


@pytest.mark.parametrize(("at_work", "sight"), [(0.0, Sight.TURNS), (1.0, Sight.TURNS), (9.0, Sight.BLOCKED)])
def test_a_process_that_was_stopped_has_no_blocked_loop_but_one_that_worked_has(at_work: float, sight: Sight) -> None:
    assert Stillness(60.0).look(20.0, 10.0, held_up=9.5, at_work=at_work) is sight


def test_a_time_in_which_the_process_was_stopped_does_not_count_towards_the_limit() -> None:
    still = Stillness(5.0)
    looks(still, 0.0, 1.3, 4.0)
    assert still.look(30.0, 0.0, held_up=25.0) is Sight.STILL
    assert looks(still, 0.0, 31.0, 34.9, 35.2)[-1] is Sight.STALLED


def test_a_loop_that_stands_still_after_a_stop_is_blocked_from_then_on() -> None:
    still = Stillness(60.0)
    assert still.look(20.0, 10.0, held_up=9.5) is Sight.TURNS
    assert looks(still, 10.0, 21.0, 21.3) == [Sight.TURNS, Sight.BLOCKED]
    assert still.since == 20.0
    assert still.look(21.5, 21.4) is Sight.FREED


def test_a_loop_that_turned_between_two_looks_and_stands_still_again_is_blocked() -> None:
    still = Stillness(60.0)
    assert looks(still, 0.0, 3.0) == [Sight.BLOCKED]
    twice = [still.look(6.0, 3.1, held_up=2.7, at_work=2.7) for _ in range(2)]
    assert twice == [Sight.FREED, Sight.BLOCKED], "who is told that it was freed looks once more"
    assert (still.since, round(still.lasted, 1)) == (3.1, 2.9)
