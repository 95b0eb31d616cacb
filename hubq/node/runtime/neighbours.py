"""The groups in which a node has parts: what one of them has for the children of another, it sends there."""

from __future__ import annotations

from hubq.node.runtime.group import Group


class Neighbours:
    """All groups of one node. Each is entered when its parts are made."""

    def __init__(self) -> None:
        self._groups: dict[int, Group] = {}

    def enter(self, group: Group) -> None:
        """A group in which this node has parts."""
        self._groups[group.number] = group

    def of(self, number: int) -> Group:
        """The group of this number."""
        return self._groups[number]
