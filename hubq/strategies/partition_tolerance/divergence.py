"""Divergence: no quorum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hubq.core.quorum import ClusterSize


@dataclass(frozen=True, slots=True)
class Divergence:
    """Every node goes on, however many there are: the default. It costs nothing, and nothing is written down for it.

    >>> Divergence().toggle_lock(ClusterSize(now=1, recently=9, since_start=9, ever=9))
    False
    """

    threshold_time: ClassVar[float] = 0.0
    needs_quorum: ClassVar[bool] = False

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def quorum(self, size: ClusterSize) -> int:
        """None is needed."""
        return 0

    def toggle_lock(self, size: ClusterSize) -> bool:
        """Never."""
        return False

    def toggle_unlock(self, size: ClusterSize) -> bool:
        """Always."""
        return True
