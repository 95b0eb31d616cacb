"""The hub's other groups, as the parts of this node in those groups have seen them last: who owns the shards, and what they bear."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hubq.core.balance import Load, summed
from hubq.core.layout import shards_of


class Elsewhere:
    """One object for all groups of a node. Each tells what it has seen; the plan of each is made over all shards of the hub, so that
    the shards of all groups together lie evenly. What is an old tale of a group whose primary is away is better than none. A group that
    this node could not join yet is taken for one whose shards lie evenly.

    >>> elsewhere = Elsewhere(groups=2, shards=4)
    >>> elsewhere.with_others(0, {0: "a", 2: "a"}, ["b", "a"])
    {1: 'a', 3: 'b', 0: 'a', 2: 'a'}
    >>> elsewhere.seen(0, {0: "a", 2: "b"}); elsewhere.seen(1, {1: "b", 3: None})
    >>> elsewhere.with_others(1, {1: "b", 3: "a"}, ["a", "b"])
    {0: 'a', 2: 'b', 1: 'b', 3: 'a'}
    """

    def __init__(self, groups: int, shards: int) -> None:
        self._groups = {group: shards_of(group, groups, shards) for group in range(groups)}
        self._owners: dict[int, Mapping[int, str | None]] = {}
        self._loads: dict[int, tuple[Mapping[int, Load], Load]] = {}

    def seen(self, group: int, owners: Mapping[int, str | None]) -> None:
        """The owners of a group's shards are these now."""
        self._owners[group] = owners

    def with_others(
        self, group: int, owners: Mapping[int, str | None], nodes: Collection[str]
    ) -> dict[int, str | None]:
        """The owners of this group, and those of all others. ``nodes``: those on which shards may be."""
        unseen = [shard for g, of in self._groups.items() if g != group and g not in self._owners for shard in of]
        names = sorted(nodes)
        found: dict[int, str | None] = {shard: names[n % len(names)] for n, shard in enumerate(unseen)} if names else {}
        for other, known in self._owners.items():
            if other != group:
                found.update(known)
        found.update(owners)
        return found

    def measured(self, group: int, shards: Mapping[int, Load], pins: Load) -> tuple[dict[int, Load], Load]:
        """What this node's shards and pins of a group bear now -> what those of all groups do."""
        self._loads[group] = shards, pins
        found = {shard: load for loads, _ in self._loads.values() for shard, load in loads.items()}
        return found, summed(of_pins for _, of_pins in self._loads.values())
