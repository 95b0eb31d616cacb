"""A quorum of more than half of the largest cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hubq.core.quorum import ClusterSize
from hubq.errors import ConfigError


@dataclass(frozen=True, slots=True)
class MajorityQuorum:
    """The hub works while it has more than half of the nodes that it ever had at once, which is remembered in Redis:
    floor(n / 2) + 1. After the cluster was made smaller for good, say so: ``hub.reset_cluster_size()``.

    >>> strategy = MajorityQuorum()
    >>> [strategy.quorum(ClusterSize(n, n, n, ever=n)) for n in (1, 2, 3, 4, 5)]
    [1, 2, 2, 3, 3]
    >>> MajorityQuorum(initial_cluster_size=0)
    Traceback (most recent call last):
    hubq.errors.ConfigError: initial_cluster_size=0: give a number of nodes, 1 or more
    """

    initial_cluster_size: int = 1
    """How many nodes the hub has at least when it is complete, whether they were seen or not."""

    track_max_size: bool = True
    """Whether the quorum grows with the cluster. False: it is that of ``initial_cluster_size``."""

    threshold_time: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        size = self.initial_cluster_size
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigError(f"initial_cluster_size={size!r}: give a number of nodes, 1 or more")

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def quorum(self, size: ClusterSize) -> int:
        """More than half of the largest cluster."""
        largest = max(self.initial_cluster_size, size.ever if self.track_max_size else 0)
        return largest // 2 + 1

    def toggle_lock(self, size: ClusterSize) -> bool:
        """With fewer nodes."""
        return size.now < self.quorum(size)

    def toggle_unlock(self, size: ClusterSize) -> bool:
        """With as many nodes, or more."""
        return size.now >= self.quorum(size)
