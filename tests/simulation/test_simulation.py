"""The simulation itself: it is deterministic, and it finds nothing wrong. (``test_noticed.py``: it would find something.)"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.groups import GROUPED
from tests.simulation.runner import HASH_SEED, replay_command, run_many
from tests.simulation.world import RESTING

ROOT = Path(__file__).resolve().parents[2]


def hashes(first: int, schedules: int) -> dict[int, int]:
    """The hash of each schedule's trace, from a process of its own."""
    words = ["-m", "tests.simulation", "--part", "0/1", "--seed", str(first), "--schedules", str(schedules)]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", *words], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": HASH_SEED},
        capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    results = [json.loads(line) for line in run.stdout.splitlines()]
    return {result["seed"]: result["hash"] for result in results}


@pytest.mark.parametrize(
    ("start", "schedules"),
    [(1, 2), (GROUPED, 2), *(pytest.param(*more, marks=pytest.mark.long) for more in [(1, 5), (GROUPED, 3)])],
)
def test_the_same_seed_gives_the_same_schedule_in_another_process_and_after_other_schedules(
    start: int, schedules: int
) -> None:
    once, again, later = hashes(start, schedules), hashes(start, schedules), hashes(start + schedules - 1, 1)
    assert len(once) == schedules and len(set(once.values())) == schedules
    assert again == once
    assert later == {start + schedules - 1: once[start + schedules - 1]}


@pytest.mark.parametrize(
    ("first", "schedules"),
    [
        *((1, 5), (RESTING, 2), (GROUPED, 2)),
        *(pytest.param(*more, marks=pytest.mark.long) for more in [(6, 7), (RESTING + 2, 3), (GROUPED + 2, 4)]),
    ],
)
def test_no_guarantee_breaks_under_faults(first: int, schedules: int) -> None:
    """A few; ``make sim``, which CI runs too, has thousands."""
    total = run_many(first, schedules, 1, 100.0)
    assert total.schedules == schedules, "the simulation has become much slower"
    report = [f"{breaches[0]}\n  {replay_command(seed)}" for seed, breaches in total.breaches.items()]
    assert not report, "\n".join(report[:10])
