"""What the parts of a node in the groups of a hub tell one another."""

from __future__ import annotations

from hubq.core.balance import Load
from hubq.node.held.elsewhere import Elsewhere


def test_a_leader_is_told_of_all_groups_of_a_node() -> None:
    elsewhere = Elsewhere()
    elsewhere.measured(0, {0: Load(messages=2.0)}, Load(children=1))
    assert elsewhere.measured(1, {1: Load(messages=3.0)}, Load(children=2)) == (
        {0: Load(messages=2.0), 1: Load(messages=3.0)}, Load(children=3),
    )  # fmt: skip
