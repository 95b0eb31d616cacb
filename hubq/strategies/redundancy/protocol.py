"""What a redundancy strategy decides: how many copies there are, which one is the primary, and what the others do.

The primary is the owner of the shard: it alone reads the mailbox, commits and replies. The nodes with the other copies
*follow* it by the shard's log (docs/protocol.md, section 7).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

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

    def master_node(self, owner: str | None, followers: Sequence[str]) -> str | None:
        """The node whose copy is the primary, or will be once it has taken the shard over."""
