"""Who follows whom, as a pure function; and what the log's numbers say."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubq import ConfigError, Replication, Singularity
from hubq.core.placement import place
from hubq.core.replication import LogPosition, followers, heirs, place_in_stream
from hubq.core.view import NodeView, View

NAMES = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=8, unique=True)


def belongs_to(view: View) -> dict[int, str]:
    return place(view.nodes, view.owners, view.shards)


def view_of(names: list[str], shards: int, owners: dict[int, str | None] | None = None) -> View:
    return View({name: NodeView(name, 1) for name in names}, owners or dict(place(names, {}, shards)), shards)


@given(NAMES, st.integers(1, 96), st.integers(1, 10))
def test_every_owned_shard_has_as_many_followers_as_there_can_be(names: list[str], shards: int, copies: int) -> None:
    view = view_of(names, shards)
    found = followers(belongs_to, view, copies)
    wanted = min(copies, len(names)) - 1
    for shard, owner in view.owners.items():
        mine = found.get(shard, ())
        assert len(mine) == len(set(mine)) == wanted
        assert owner not in mine and set(mine) <= set(names)


@given(NAMES.filter(lambda names: len(names) > 1), st.integers(1, 96), st.integers(2, 5), st.data())
def test_the_first_follower_takes_over_and_nothing_else_moves(
    names: list[str], shards: int, copies: int, data: st.DataObject
) -> None:
    view = view_of(names, shards)
    found = followers(belongs_to, view, copies)
    dead = data.draw(st.sampled_from(names))
    rest = [name for name in names if name != dead]
    owners = {shard: None if owner == dead else owner for shard, owner in view.owners.items()}
    after = place(rest, owners, shards)
    for shard, owner in view.owners.items():
        assert after[shard] == (found[shard][0] if owner == dead else owner)


@given(NAMES.filter(lambda names: len(names) > 1), st.integers(1, 48), st.integers(2, 5), st.data())
def test_whom_the_strategy_prefers_is_the_first_follower_and_takes_over(
    names: list[str], shards: int, copies: int, data: st.DataObject
) -> None:
    dead = data.draw(st.sampled_from(names))

    def last(shard: int, candidates: Sequence[str], view: View) -> str:
        assert view.owners[shard] is None and set(candidates) <= set(view.nodes)
        return max(candidates)

    view = view_of(names, shards)
    usual, found = followers(belongs_to, view, copies), followers(belongs_to, view, copies, last)
    mine = view.holds(dead)
    rest = {name: node for name, node in view.nodes.items() if name != dead}
    after = View(rest, {shard: None if owner == dead else owner for shard, owner in view.owners.items()}, shards)
    taken = heirs(belongs_to(after), after, mine, copies, last)
    for shard in mine:
        assert set(found[shard]) == set(usual[shard])
        assert taken[shard] == found[shard][0] == max(usual[shard])


def test_an_answer_that_is_no_follower_counts_as_none() -> None:
    view = view_of(["a", "b", "c"], 1, {0: "a"})
    assert followers(belongs_to, view, 3, lambda *_: "x") == followers(belongs_to, view, 3)


@given(NAMES, st.integers(1, 64))
def test_the_order_in_which_nodes_are_known_does_not_matter(names: list[str], shards: int) -> None:
    assert followers(belongs_to, view_of(names, shards), 3) == followers(belongs_to, view_of(names[::-1], shards), 3)


def test_a_shard_without_an_owner_has_no_followers_and_a_drained_owner_has_its_target() -> None:
    assert followers(belongs_to, view_of(["a", "b"], 1, {0: None}), 2) == {}
    assert followers(belongs_to, view_of(["b"], 1, {0: "a"}), 2) == {0: ("b",)}


def test_the_log_has_no_holes() -> None:
    position = LogPosition(3, "5-0")
    assert [position.judge(number) for number in (2, 3, 4, 5)] == ["seen", "seen", "next", "gap"]
    position.read(4, "6-0")
    assert position == LogPosition(4, "6-0") and position.judge(5) == "next"
    ids = ["0", "1-0", "1-1", "2-0", "10-0", "10-2", "10-10"]
    assert [place_in_stream(entry) for entry in ids] == sorted(map(place_in_stream, ids))


def test_strategies() -> None:
    assert [Singularity().replication_factor(n) for n in (0, 1, 9)] == [1, 1, 1]
    assert [Replication(3).replication_factor(n) for n in (1, 2, 3, 9)] == [1, 2, 3, 3]
    view = view_of(["b", "c"], 1)
    assert [strategy.master_node(0, ["b", "c"], view) for strategy in (Replication(), Singularity())] == ["b", "b"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"replication_factor": 0}, 'replication_factor=0: give a number of 1 or more, or "cluster_size"'),
        ({"replication_factor": True}, "replication_factor=True"),
        ({"replication_factor": "all"}, "replication_factor='all'"),
        ({"replication_model": "both"}, "replication_model='both': give one of active_active, active_passive"),
        ({"redundancy_signal": "loud"}, "redundancy_signal='loud': give one of none, active, passive, all"),
    ],
)
def test_bad_options(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Replication(**options)  # type: ignore[arg-type]
    assert str(raised.value).startswith(says)
