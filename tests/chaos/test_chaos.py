"""A short chaos run. The long one is ``make chaos``."""

from __future__ import annotations

import pytest

from hubq.store.embedded import find_server
from tests.real_redis import no_real_redis

from .plan import ON_A_CLUSTER, WEIGHTS, make_plan
from .play import play
from .report import report

SEED, SECONDS = 20261, 40.0


def test_a_plan_comes_from_its_seed_alone_and_throws_everything() -> None:
    assert make_plan(SEED, SECONDS, 2.0) == make_plan(SEED, SECONDS, 2.0) != make_plan(SEED + 1, SECONDS, 2.0)
    assert {fault.kind for fault in make_plan(SEED, SECONDS, 2.0)} == set(WEIGHTS)


def test_a_plan_for_a_cluster_throws_all_that_is_for_a_cluster() -> None:
    assert {fault.kind for fault in make_plan(SEED, SECONDS, 2.0, ON_A_CLUSTER)} == set(ON_A_CLUSTER)


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.acceptance
@pytest.mark.timeout(420)
def test_nothing_is_lost_in_chaos_on_a_redis_cluster_with_groups() -> None:
    if find_server()[0] is None:
        no_real_redis()
    outcome = play(SEED, SECONDS, say=print, primaries=3, groups=6)
    print(report(outcome))
    assert outcome.breaches == []
    assert sum(outcome.thrown[kind] for kind in ON_A_CLUSTER if kind not in WEIGHTS) >= 5, outcome.thrown
    assert int(str(outcome.measured["calls answered"])) > 100
    assert int(str(outcome.measured["said by children, each once"])) > 100


@pytest.mark.alone
@pytest.mark.long
@pytest.mark.acceptance
@pytest.mark.timeout(300)
def test_nothing_is_lost_in_chaos() -> None:
    if find_server()[0] is None:
        no_real_redis()
    outcome = play(SEED, SECONDS, say=print)
    print(report(outcome))
    assert outcome.breaches == []
    assert all(outcome.thrown[kind] for kind in WEIGHTS), outcome.thrown
    assert int(str(outcome.measured["calls answered"])) > 500
