"""What a redundancy strategy decides: how many copies there are, which one is the primary, and what the others do.

The primary is the owner of the shard: it alone reads the mailbox, commits and replies. The nodes with the other copies
*follow* it by the shard's log (docs/protocol.md, section 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from hubq.core.view import View

Model = Literal["active_active", "active_passive"]
Signal = Literal["none", "active", "passive", "all"]


class Redundancy(Protocol):
    """A redundancy strategy. One object serves all nodes of a hub it is given to; it keeps no state of its own."""

    @property
    def replication_model(self) -> Model:
        """``"active_active"``: the copies handle every message, too. ``"active_passive"``: they have the state, and wait."""

    @property
    def redundancy_signal(self) -> Signal:
        """Which changes ``on_redundancy_signal`` of a child hears of."""

    def init(self, hub_id: str) -> None:
        """Called when a node of the hub starts."""

    def replication_factor(self, nodes: int) -> int:
        """How many copies of each child there are, the primary among them, with so many nodes."""

    def master_node(self, shard: int, followers: Sequence[str], view: View) -> str:
        """Which of the nodes that have the other copies of a shard takes it over when its owner dies, or drains.

        ``followers`` is never empty, and stands in the order in which they would do it; ``view`` tells of the nodes, and has
        no owner for the shard, or one that is going. Called on every node, whenever it looks at the plan: the answer must
        depend on the arguments alone, and come at once. A name that is not among them: the first of them.
        """
