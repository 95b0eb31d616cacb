"""A distribution's answer is made whole: every shard has a node that is there."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubq.core.view import NodeView, View, settled

NAMES = st.sampled_from(["a", "b", "c", "d"])


@given(
    st.sets(NAMES),
    st.dictionaries(st.integers(0, 9), st.none() | NAMES),
    st.dictionaries(st.integers(-2, 12), NAMES),
)
def test_every_shard_has_a_live_node(names: set[str], owners: dict[int, str | None], wanted: dict[int, str]) -> None:
    view = View({name: NodeView(name, 1) for name in names}, owners, 8)
    found = settled(wanted, view)
    assert set(found) == (set(range(8)) if names else set())
    for shard, node in found.items():
        assert node in names
        if wanted.get(shard) in names:
            assert node == wanted[shard]
        elif owners.get(shard) in names:
            assert node == owners[shard]
