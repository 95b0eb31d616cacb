"""What the parts of a node in the groups of a hub tell one another."""

from __future__ import annotations

from hubq.core.balance import Load
from hubq.node.held.elsewhere import Elsewhere


def test_a_leader_is_told_of_all_groups_of_a_node() -> None:
    elsewhere = Elsewhere(groups=2, shards=4)
    elsewhere.measured(0, {0: Load(messages=2.0)}, Load(children=1))
    assert elsewhere.measured(1, {1: Load(messages=3.0)}, Load(children=2)) == (
        {0: Load(messages=2.0), 1: Load(messages=3.0)}, Load(children=3),
    )  # fmt: skip


def test_a_group_that_was_not_joined_is_taken_for_even_until_it_is_seen() -> None:
    elsewhere, own = Elsewhere(groups=3, shards=12), {0: "a", 3: "b", 6: None, 9: "a"}
    seen = elsewhere.with_others(0, own, ["b", "a"])
    assert [list(seen.values()).count(node) for node in ("a", "b", None)] == [6, 5, 1]
    elsewhere.seen(1, {1: "b", 4: "b", 7: "b", 10: None})
    seen = elsewhere.with_others(0, own, ["a", "b"])
    assert {shard: seen[shard] for shard in (1, 4, 7, 10)} == {1: "b", 4: "b", 7: "b", 10: None}
    assert [seen[shard] for shard in (2, 5, 8, 11)] == ["a", "b", "a", "b"]
    assert elsewhere.with_others(0, own, []).keys() == {*own, 1, 4, 7, 10}, "nobody is there to have it"
