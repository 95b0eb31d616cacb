"""The load that benchmarks offer stays within bounds on a machine that cannot keep it up."""

from __future__ import annotations

import pytest

from benchmarks.pace import Pace


def batches(pace: Pace, *, seconds: float, per_second: float, tick: float = 0.005) -> list[int]:
    """What is sent by one who needs ``1 / per_second`` seconds for each."""
    sizes, now = [], 0.0
    while now < seconds:
        sizes.append(pace.due(now))
        now += tick + sizes[-1] / per_second
    return sizes


def test_the_rate_is_kept_where_it_can_be() -> None:
    pace = Pace(10_000, 500, 0.0)
    sizes = batches(pace, seconds=10.0, per_second=100_000)
    assert pace.achieved(10.0) == pytest.approx(10_000, rel=0.01)
    assert max(sizes) < 100


def test_no_batch_grows_where_the_rate_cannot_be_kept() -> None:
    pace = Pace(10_000, 500, 0.0)
    sizes = batches(pace, seconds=60.0, per_second=5_000)
    assert max(sizes) == 500
    assert len(sizes) > 500, "it goes on sending"
    assert pace.total == sum(sizes)


def test_what_was_missed_in_a_pause_is_not_made_up_for() -> None:
    pace = Pace(1_000, 500, 0.0)
    assert [pace.due(now) for now in (0.125, 10.0, 10.125)] == [125, 500, 125]
