"""What a distribution strategy decides upon: the nodes, and who owns which shard now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NodeView:
    """A live node that may own shards. ``tags`` are those of ``hubq worker --tag``, ``app_version`` that of ``--app-version``
    (empty: none was given); a smaller ``incarnation`` joined earlier.
    """

    name: str
    incarnation: int
    tags: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    app_version: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """The hub at one moment.

    ``owners``: the present owner of each shard (None: nobody; it may be a node that is draining). ``assignment``: what the
    leader of ``CentralizedLoadBalancer`` has published, as far as its nodes are still there; empty with other strategies.

    >>> View({"a": NodeView("a", 1)}, {0: "a", 1: None}, 2).holds("a")
    [0]
    """

    nodes: Mapping[str, NodeView]
    owners: Mapping[int, str | None]
    shards: int
    assignment: Mapping[int, str] = field(default_factory=dict)

    def holds(self, node: str) -> list[int]:
        """The shards a node owns."""
        return [shard for shard, owner in self.owners.items() if owner == node]


def settled(wanted: Mapping[int, str], view: View) -> dict[int, str]:
    """A strategy's answer, made whole: a shard it forgot, or gave to a node that is not there, stays where it is.

    Empty only when there are no nodes.

    >>> settled({0: "b", 1: "x"}, View({"a": NodeView("a", 1), "b": NodeView("b", 2)}, {0: "a", 1: "a"}, 2))
    {0: 'b', 1: 'a'}
    """
    if not view.nodes:
        return {}
    first = min(view.nodes)
    found: dict[int, str] = {}
    for shard in range(view.shards):
        node = wanted.get(shard)
        if node not in view.nodes:
            owner = view.owners.get(shard)
            node = owner if owner in view.nodes else first
        assert node is not None
        found[shard] = node
    return found
