"""A quorum of those who were there a moment ago."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from hubq.core.quorum import ClusterSize
from hubq.errors import ConfigError


@dataclass(frozen=True, slots=True)
class DynamicQuorum:
    """The hub works while it has ``quorum_size`` per cent of the nodes that it had at most in the last ``threshold_time``
    seconds: many nodes lost at once stop it, as many lost one by one do not. After ``threshold_time`` without further
    losses it goes on with those that are left.

    >>> DynamicQuorum(70).quorum(ClusterSize(now=2, recently=4, since_start=4, ever=4))
    3
    >>> DynamicQuorum(170)
    Traceback (most recent call last):
    hubq.errors.ConfigError: quorum_size=170: give per cent, above 0 and at most 100
    """

    quorum_size: float
    """Per cent."""

    threshold_time: float = 30.0
    """How long a node that is gone still counts, seconds."""

    def __post_init__(self) -> None:
        size, seconds = self.quorum_size, self.threshold_time
        if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size <= 100:
            raise ConfigError(f"quorum_size={size!r}: give per cent, above 0 and at most 100")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 86400:
            raise ConfigError(f"threshold_time={seconds!r}: give seconds, above 0 and at most 86400")

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def quorum(self, size: ClusterSize) -> int:
        """So many per cent of the nodes there were, rounded up."""
        return ceil(size.recently * Fraction(str(self.quorum_size)) / 100)

    def toggle_lock(self, size: ClusterSize) -> bool:
        """With fewer nodes."""
        return size.now < self.quorum(size)

    def toggle_unlock(self, size: ClusterSize) -> bool:
        """With as many nodes, or more."""
        return size.now >= self.quorum(size)
