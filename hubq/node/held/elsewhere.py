"""The hub's other groups, as the parts of this node in those groups have seen them last: who owns the shards, and what they bear."""

from __future__ import annotations

from collections.abc import Mapping

from hubq.core.balance import Load, summed


class Elsewhere:
    """One object for all groups of a node. Each tells what it has seen; the plan of each is made over all shards of the hub, so that
    the shards of all groups together lie evenly. What is an old tale of a group whose primary is away is better than none.

    >>> elsewhere = Elsewhere()
    >>> elsewhere.seen(0, {0: "a", 2: "b"}); elsewhere.seen(1, {1: "b", 3: None})
    >>> elsewhere.with_others(1, {1: "b", 3: "a"})
    {0: 'a', 2: 'b', 1: 'b', 3: 'a'}
    """

    def __init__(self) -> None:
        self._owners: dict[int, Mapping[int, str | None]] = {}
        self._loads: dict[int, tuple[Mapping[int, Load], Load]] = {}

    def seen(self, group: int, owners: Mapping[int, str | None]) -> None:
        """The owners of a group's shards are these now."""
        self._owners[group] = owners

    def with_others(self, group: int, owners: Mapping[int, str | None]) -> dict[int, str | None]:
        """The owners of this group, and those of all others."""
        found: dict[int, str | None] = {}
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
