"""What the quorum strategies decide, and what the roll remembers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubq import ConfigError, Divergence, DynamicQuorum, MajorityQuorum, StaticQuorum
from hubq.core.quorum import ClusterSize, Roll
from hubq.store.quorum import roll_of, written

LOOKS = st.lists(st.tuples(st.integers(0, 40_000), st.sets(st.integers(1, 9))), max_size=30)
STRATEGIES = st.sampled_from(
    [Divergence(), StaticQuorum(3), StaticQuorum(3, startup_confirm=True), DynamicQuorum(70), MajorityQuorum(),
     MajorityQuorum(5, track_max_size=False)]
)  # fmt: skip


def names(incarnations: set[int]) -> list[str]:
    return [f"n{incarnation} {incarnation}" for incarnation in sorted(incarnations)]


def size(now: int, recently: int = 0, since_start: int = 0, ever: int = 0) -> ClusterSize:
    recently, since_start = max(now, recently), max(now, since_start)
    return ClusterSize(now, recently, since_start, max(ever, recently, since_start))


@given(LOOKS, st.sampled_from([0, 10_000, 30_000]))
def test_the_roll_knows_how_many_there_were(looks: Any, window: int) -> None:
    roll, now = Roll(), 0
    history: list[tuple[int, int]] = []
    seen: set[int] = set()
    started, ever = 0, 0
    for wait, members in looks:
        now += wait
        before, roll = roll, roll.called(names(members), now, window)
        if not members:
            assert roll == before, "with nobody there, nobody decides"
            continue
        if not seen & members:
            history, started = [], 0
        seen, started, ever = members, max(started, len(members)), max(ever, len(members))
        history.append((now, len(members)))
        ends = [at for at, _ in history[1:]] + [now + 1]
        recent = [count for (_, count), end in zip(history, ends, strict=True) if end > now - window]
        assert roll.size() == ClusterSize(len(members), max(recent), started, ever)
        assert len(roll.sizes) <= len(history)
    assert roll_of(written(roll)) == roll


@given(LOOKS, STRATEGIES)
def test_what_is_locked_is_unlocked_by_the_same_sight_or_not_at_all(looks: Any, strategy: Any) -> None:
    roll, now = Roll(), 0
    for wait, members in looks:
        now += wait
        roll = roll.called(names(members), now, int(strategy.threshold_time * 1000))
        seen = roll.size()
        assert strategy.toggle_lock(seen) is not strategy.toggle_unlock(seen)
        if isinstance(strategy, Divergence):
            assert not strategy.toggle_lock(seen)


def test_a_static_quorum_counts_from_when_it_was_reached() -> None:
    late, early = StaticQuorum(3), StaticQuorum(3, startup_confirm=True)
    assert [late.toggle_lock(size(n)) for n in (1, 2, 3)] == [False, False, False]
    assert [early.toggle_lock(size(n)) for n in (1, 2, 3)] == [True, True, False]
    assert late.toggle_lock(size(2, since_start=3)) and late.toggle_unlock(size(3, since_start=3))


def test_a_dynamic_quorum_forgives_slow_losses() -> None:
    strategy = DynamicQuorum(70, threshold_time=30.0)
    roll, everybody = Roll().called(names({1, 2, 3, 4}), 0, 30_000), {1, 2, 3, 4}
    three = roll.called(names(everybody - {4}), 60_000, 30_000)
    assert not strategy.toggle_lock(three.size())
    two = three.called(names({1, 2}), 100_000, 30_000)
    assert two.size().recently == 3 and strategy.toggle_lock(two.size()), "2 of 3 are 66 %"
    assert strategy.toggle_lock(two.called(names({1, 2}), 129_999, 30_000).size())
    assert strategy.toggle_unlock(two.called(names({1, 2}), 130_000, 30_000).size())
    at_once = roll.called(names({1, 2}), 60_000, 30_000)
    assert strategy.toggle_lock(at_once.size()) and strategy.quorum(at_once.size()) == 3


def test_a_majority_grows_with_the_cluster_and_outlives_it() -> None:
    strategy, roll = MajorityQuorum(), Roll()
    for count in range(1, 6):
        roll = roll.called(names(set(range(1, count + 1))), count, 0)
        assert not strategy.toggle_lock(roll.size())
    assert strategy.quorum(roll.size()) == 3
    assert not strategy.toggle_lock(roll.called(names({1, 2, 3}), 10, 0).size())
    assert strategy.toggle_lock(roll.called(names({1, 2}), 10, 0).size())
    assert strategy.toggle_lock(roll.called(names({11, 12}), 10, 0).size()), "started anew, it remembers"
    assert MajorityQuorum(track_max_size=False).quorum(roll.size()) == 1
    assert MajorityQuorum(5).toggle_lock(size(2)) and not MajorityQuorum(5).toggle_lock(size(3))


def test_a_node_that_was_cut_off_is_no_new_hub() -> None:
    strategy, roll = StaticQuorum(2), Roll().called(["a 1", "b 2"], 0, 0).called(["a 1"], 10, 0)
    assert strategy.toggle_lock(roll.called(["a 3"], 20, 0, was=["a 1"]).size())
    assert not strategy.toggle_lock(roll.called(["a 3"], 20, 0).size()), "another process: the hub was started anew"


@pytest.mark.parametrize(
    ("per_cent", "nodes", "needed"), [(70, 10, 7), (70, 3, 3), (100, 4, 4), (0.1, 9, 1), (33.3, 10, 4)]
)
def test_per_cent_are_rounded_up(per_cent: float, nodes: int, needed: int) -> None:
    assert DynamicQuorum(per_cent).quorum(size(1, recently=nodes)) == needed


@pytest.mark.parametrize(
    "make",
    [
        lambda: StaticQuorum(True), lambda: StaticQuorum(1.5), lambda: DynamicQuorum(0), lambda: DynamicQuorum(70, 0),  # type: ignore[arg-type]
        lambda: MajorityQuorum(-1),
    ],
)  # fmt: skip
def test_impossible_options_are_refused(make: Any) -> None:
    with pytest.raises(ConfigError, match="give"):
        make()
