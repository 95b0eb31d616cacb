"""What the benchmark of several primaries makes of its figures. (How fast anything was is not tested.)"""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks import against_one
from benchmarks.primaries import ONE, SETTINGS, Used
from benchmarks.report import FIGURES

BEFORE = Used(primaries=(1.0, 2.0), client=3.0, worker=4.0, at=10.0)
AFTER = Used(primaries=(1.25, 2.75), client=3.5, worker=5.0, at=20.0)


def test_processor_time_is_that_of_each_message() -> None:
    assert AFTER.since(BEFORE, 1_000, "cast") == pytest.approx(
        {"cast_redis_us": 1_000, "cast_busiest_us": 750, "cast_client_us": 500, "cast_worker_us": 1_000, "cast_both_us": 1_500}
    )  # fmt: skip


def test_processor_time_at_rest_is_a_part_of_a_core() -> None:
    assert AFTER.at_rest(BEFORE) == pytest.approx({"rest_worker_percent": 10, "rest_redis_percent": 10})


def turn(factor: float) -> dict[str, float]:
    """A turn in which everything took so many times as long as in another."""
    figures = dict.fromkeys(FIGURES["primaries"], 100 * factor)
    return figures | {f"{name}_both_us": 200 * factor for name in against_one.SENT}


def rows(every: dict[str, list[dict[str, float]]]) -> dict[str, str]:
    printed = io.StringIO()
    Console(width=200, file=printed).print(against_one.table(every))
    lines = [line.split("│") for line in printed.getvalue().splitlines() if line.startswith("│")]
    return {cells[1].strip(): cells[3].strip() for cells in lines}


def test_each_turn_is_compared_with_one_primary_in_the_same_turn() -> None:
    found = rows({ONE: [turn(1), turn(4)], "2 primaries": [turn(1), turn(4)]})
    assert found["a cast in a batch: CPU of Redis in sum"] == "1.00 (1.00–1.00)"


def test_a_goal_that_is_missed_has_a_star() -> None:
    slower = rows({ONE: [turn(1)], "2 primaries": [turn(1.19)]})
    assert slower["a cast in a batch: CPU of Redis in sum"] == "1.19* (1.19–1.19)", "1.15 at most"
    assert slower["of the client"] == "1.19 (1.19–1.19)", "1.2 at most"


def test_the_busiest_primary_is_compared_with_its_part_of_the_sum_of_one() -> None:
    half = {**turn(1), "cast_busiest_us": 60.0}
    (goal,) = [goal for goal in against_one.goals() if goal.figure == "cast_busiest_us"]
    assert goal.ratios([half], [turn(1)], primaries=2) == [1.2]


def test_several_groups_on_one_redis_have_a_goal_of_their_own() -> None:
    found = rows({ONE: [turn(1)], "8 groups on 1": [turn(1.12)]})
    assert found["a cast in a batch: CPU of Redis in sum"] == "1.12* (1.12–1.12)", "1.1 at most, and 1.15 over several"


def test_every_goal_is_about_a_figure_that_a_turn_has() -> None:
    known = {*FIGURES["primaries"], *(name for sent in against_one.SENT for name in AFTER.since(BEFORE, 1, sent))}
    assert {name for goal in against_one.goals() for name in (goal.figure, goal.bare) if name} <= known
    assert all(setting.groups % setting.primaries == 0 for setting in SETTINGS.values())


def test_what_is_there_for_comparison_is_no_goal() -> None:
    found = rows({ONE: [turn(1)], "8 primaries": [turn(3)]})
    assert found["a bare script at the pace of idle calls: CPU of Redis in sum"] == "3.00 (3.00–3.00)"


def test_what_the_machine_takes_is_divided_out() -> None:
    slower = {**turn(3), "bare_redis_us": 200.0}
    found = rows({ONE: [turn(1)], "8 primaries": [slower]})
    assert found["an idle call ÷ the bare script: CPU of Redis in sum"] == "1.50 (1.50–1.50)"
