"""One copy of each child (the default)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubq.core.view import View
from hubq.strategies.redundancy.protocol import Model, Signal


@dataclass(frozen=True, slots=True)
class Singularity:
    """Exactly one copy. No log is written; a lost node's children are built anew from ``msk``.

    >>> Singularity().replication_factor(nodes=5)
    1
    """

    replication_model: Model = "active_passive"
    redundancy_signal: Signal = "none"

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def replication_factor(self, nodes: int) -> int:
        """One."""
        return 1

    def master_node(self, shard: int, followers: Sequence[str], view: View) -> str:
        """The first: the one that the distribution strategy would give the shard to, so that nothing else moves."""
        return followers[0]
