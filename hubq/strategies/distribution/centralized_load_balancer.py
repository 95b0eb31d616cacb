"""Centralized load balancing: one node looks at what all have measured, and publishes who has what."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hubq.core.balance import follow
from hubq.core.spec import ChildSpec
from hubq.core.view import View
from hubq.errors import ConfigError
from hubq.strategies.distribution.consistent_hashing import refuse_mapping
from hubq.strategies.distribution.protocol import ChildMapping


@dataclass(frozen=True, slots=True)
class CentralizedLoadBalancer:
    """Every node publishes what its shards cost; the node that is up longest decides who has which, and all follow.

    >>> CentralizedLoadBalancer(weight_decay_factor=2)
    Traceback (most recent call last):
    hubq.errors.ConfigError: weight_decay_factor=2: give a number above 0, at most 1
    """

    max_history_size: int = 30
    """Measurements kept of each shard."""

    weight_decay_factor: float = 0.9
    """How much a measurement counts against the next newer one: 1 is a plain mean, less forgets faster."""

    push_interval: float = 10.0
    """How often loads are measured and published, and decided upon, seconds."""

    nodeup_redistribution: bool = False
    """Give a new node its share of the load at once. False: it takes shards at the next rebalance."""

    rest: float = 60.0
    """How long a shard that has been moved stays where it is, seconds, unless its node goes."""

    def __post_init__(self) -> None:
        size, decay = self.max_history_size, self.weight_decay_factor
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= 10_000:
            raise ConfigError(f"max_history_size={size!r}: give a number from 1 to 10000")
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 < decay <= 1:
            raise ConfigError(f"weight_decay_factor={decay!r}: give a number above 0, at most 1")
        for name, low in (("push_interval", 0.01), ("rest", 0.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= 86400:
                raise ConfigError(f"{name}={value!r}: give seconds from {low:g} to 86400")

    @property
    def balancing(self) -> CentralizedLoadBalancer:
        """By these options."""
        return self

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def belongs_to(self, view: View) -> Mapping[int, str]:
        """As the leader has published (:func:`hubq.core.balance.follow`); before it has, as ``ConsistentHashing``."""
        return follow(view.assignment, view.owners, view.nodes, view.shards)

    def children_init(
        self, specs: Sequence[ChildSpec], child_mapping: ChildMapping | None, nodes: Collection[str]
    ) -> Mapping[str, str]:
        """All children live with their shard."""
        return refuse_mapping(self, child_mapping)
