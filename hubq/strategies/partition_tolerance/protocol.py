"""What a partition tolerance strategy decides: with how many nodes a hub goes on working (docs/guide-quorum.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hubq.core.quorum import ClusterSize
from hubq.strategies.traits import Traits


@dataclass(frozen=True, slots=True)
class PartitionTraits(Traits):
    """Whether nodes are counted at all."""

    needs_quorum: bool = True
    """False: the hub works with any number of nodes, and the strategy is never asked."""


class PartitionTolerance(Protocol):
    """A partition tolerance strategy. One object serves all nodes of a hub it is given to; it keeps no state of its own,
    and its answers depend on its arguments alone, so that every node decides the same. It may have the attributes of
    :class:`PartitionTraits`, too.
    """

    @property
    def threshold_time(self) -> float:
        """How far back ``ClusterSize.recently`` looks, seconds."""

    def init(self, hub_id: str) -> None:
        """Called when a node of the hub starts."""

    def quorum(self, size: ClusterSize) -> int:
        """How many nodes are needed."""

    def toggle_lock(self, size: ClusterSize) -> bool:
        """The hub works: must intake be closed now? Asked at every change of the view, and every second."""

    def toggle_unlock(self, size: ClusterSize) -> bool:
        """Intake is closed: may it be opened now?"""
