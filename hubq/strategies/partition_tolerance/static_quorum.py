"""A quorum of a fixed number of nodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hubq.core.quorum import ClusterSize
from hubq.errors import ConfigError


@dataclass(frozen=True, slots=True)
class StaticQuorum:
    """The hub works while it has ``quorum_size`` nodes.

    >>> StaticQuorum(2).toggle_lock(ClusterSize(now=1, recently=1, since_start=3, ever=3))
    True
    >>> StaticQuorum(0)
    Traceback (most recent call last):
    hubq.errors.ConfigError: quorum_size=0: give a number of nodes, 1 or more
    """

    quorum_size: int
    """Nodes that are needed."""

    startup_confirm: bool = False
    """Whether a hub that starts must have its quorum before it works. False: it works from its first node on, and the
    quorum counts from when it was reached first."""

    threshold_time: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        size = self.quorum_size
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ConfigError(f"quorum_size={size!r}: give a number of nodes, 1 or more")

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def quorum(self, size: ClusterSize) -> int:
        """The number given; none while the hub has not reached it and need not."""
        return self.quorum_size if self.startup_confirm or size.since_start >= self.quorum_size else 0

    def toggle_lock(self, size: ClusterSize) -> bool:
        """With fewer nodes."""
        return size.now < self.quorum(size)

    def toggle_unlock(self, size: ClusterSize) -> bool:
        """With as many nodes, or more."""
        return size.now >= self.quorum(size)
