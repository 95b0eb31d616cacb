"""What a distribution strategy decides: which node each shard belongs to, and which children have a place of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from hubq.core.spec import ChildSpec
from hubq.core.view import View

#: Child -> its node.
ChildMapping = Mapping[str, str | Sequence[str]]


class Distribution(Protocol):
    """A distribution strategy. One object serves all hubs and nodes it is given to; its answers depend on its arguments
    alone, so that every node computes the same.
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
