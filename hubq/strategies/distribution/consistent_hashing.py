"""Consistent hashing with bounded load, keeping what is in place: the default."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from hubq.core.placement import place
from hubq.core.spec import ChildSpec
from hubq.core.view import View
from hubq.errors import MappingError
from hubq.strategies.distribution.protocol import ChildMapping


@dataclass(frozen=True, slots=True)
class ConsistentHashing:
    """Every node gets its share of the shards, with a difference of one at most, and as few as possible move (ADR 1).

    >>> from hubq.core.view import NodeView
    >>> ConsistentHashing().belongs_to(View({"a": NodeView("a", 1)}, {0: "a", 1: None}, 2))
    {0: 'a', 1: 'a'}
    """

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def belongs_to(self, view: View) -> Mapping[int, str]:
        """See :func:`hubq.core.placement.place`."""
        return place(view.nodes, view.owners, view.shards)

    def children_init(
        self, specs: Sequence[ChildSpec], child_mapping: ChildMapping | None, nodes: Collection[str]
    ) -> Mapping[str, str]:
        """All children live with their shard."""
        return refuse_mapping(self, child_mapping)


def refuse_mapping(strategy: object, child_mapping: ChildMapping | None) -> dict[str, str]:
    """For strategies that give no child a place of its own: no places, or :class:`MappingError`.

    >>> refuse_mapping(ConsistentHashing(), None)
    {}
    """
    if child_mapping is not None:
        raise MappingError(
            f"child_mapping was given, but the hub's distribution is {type(strategy).__name__}: "
            "use Hub(..., distribution=Guided()), or hub.move() afterwards"
        )
    return {}
