"""A wanted place: the node a child is to live on, apart from its shard, and why."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """Where a child is wanted. ``why`` is "moved" (by hand) or "guided". ``waits``: while that node is not there, the child
    is served by nobody; otherwise it lives with its shard until the node comes.

    >>> Wish("b", "guided", True).line, Wish.read("b moved")
    ('b guided waits', Wish(node='b', why='moved', waits=False))
    """

    node: str
    why: str
    waits: bool = False

    @property
    def line(self) -> str:
        """As it stands in Redis."""
        return f"{self.node} {self.why}" + (" waits" if self.waits else "")

    @classmethod
    def read(cls, line: str) -> Wish:
        """The reverse of :attr:`line`."""
        node, why, *more = line.split(" ")
        return cls(node, why, more == ["waits"])

    def elsewhere(self, here: str, ups: Collection[str]) -> bool:
        """Whether the owner of the shard, ``here``, is not the one to serve the child. ``ups``: nodes that take children.

        >>> Wish("b", "moved").elsewhere("a", {"a"}), Wish("b", "guided", True).elsewhere("a", {"a"})
        (False, True)
        """
        return self.node != here and (self.waits or self.node in ups)
