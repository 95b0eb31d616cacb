"""What a distribution strategy decides: which node each shard belongs to, and which children have a place of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from hubq.core.spec import ChildSpec
from hubq.core.view import View
from hubq.strategies.traits import Traits

#: Child -> its node.
ChildMapping = Mapping[str, str | Sequence[str]]


class Balancing(Protocol):
    """How loads are measured and evened out, for a distribution that asks for it (``CentralizedLoadBalancer``)."""

    @property
    def max_history_size(self) -> int:
        """Measurements kept of each shard."""

    @property
    def weight_decay_factor(self) -> float:
        """How much a measurement counts against the next newer one."""

    @property
    def push_interval(self) -> float:
        """How often loads are measured and published, and decided upon, seconds."""

    @property
    def nodeup_redistribution(self) -> bool:
        """Whether a new node gets its share of the load at once."""

    @property
    def rest(self) -> float:
        """How long a shard that has been moved stays where it is, seconds."""


@dataclass(frozen=True, slots=True)
class DistributionTraits(Traits):
    """What a distribution needs of the hub.

    >>> DistributionTraits.of(object()).when_gone
    'shard'
    """

    guides: bool = False
    """Whether it gives children a place of their own when they are started."""

    when_gone: str = "shard"
    """Of a child with a place of its own, while its node is not there: ``"wait"``, or ``"shard"`` (on its shard's node)."""

    balancing: Balancing | None = None
    """How the loads that it looks at are measured; None: it does not look at any."""


class Distribution(Protocol):
    """A distribution strategy. One object serves all hubs and nodes it is given to; its answers depend on its arguments
    alone, so that every node computes the same. It may have the attributes of :class:`DistributionTraits`, too.
    """

    def init(self, hub_id: str) -> None:
        """Called when a node of the hub starts."""

    def belongs_to(self, view: View) -> Mapping[int, str]:
        """The node of each shard. Called at every change of the view, and every second: it must not wait for anything.

        A shard that is left out, or given to a node that is not in ``view.nodes``, stays where it is.
        """

    def children_init(
        self, specs: Sequence[ChildSpec], child_mapping: ChildMapping | None, nodes: Collection[str]
    ) -> Mapping[str, str]:
        """Before children are started: child -> node for those with a place of their own. The others live with their shard.

        ``child_mapping`` is what the caller of ``start_children`` gave, ``nodes`` the live nodes that take children.
        Raises :class:`~hubq.errors.MappingError`: nothing is started then.
        """
