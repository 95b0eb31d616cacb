"""The nodes of a cluster, and which of them answer."""

from __future__ import annotations

from collections.abc import Sequence

Node = tuple[str, int]


class KnownNodes:
    """The nodes of a cluster, in the order in which they are asked: those that answer first, those that were silent last. Shared by all
    who ask for slots of one server, so that each of them need not wait for the same silent node.

    >>> nodes = KnownNodes([("c1", 7001), ("c2", 7002)])
    >>> nodes.silent(("c1", 7001)); nodes.answered(("c2", 7002), [("c1", 7001), ("c3", 7003)])
    >>> nodes.in_order()
    (('c2', 7002), ('c3', 7003), ('c1', 7001))
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = tuple(nodes)
        self._silent: frozenset[Node] = frozenset()

    def in_order(self) -> tuple[Node, ...]:
        """All nodes."""
        silent = self._silent
        return tuple(sorted(self._nodes, key=silent.__contains__)) if silent else self._nodes

    def answered(self, node: Node, others: Sequence[Node] = ()) -> None:
        """A node has answered, and named these others."""
        self._silent -= {node}
        self._nodes = tuple(dict.fromkeys([node, *others, *self._nodes]))

    def silent(self, node: Node) -> None:
        """A node has not answered."""
        self._silent |= {node}
