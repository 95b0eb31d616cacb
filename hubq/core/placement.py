"""Which node should own which shard: a consistent-hash ring with bounded load that keeps what is in place.

The answer is a pure function of the membership view and the present owners, so every node computes it alone (ADR 1).
Consistent hashing: Karger et al. 1997; bounded loads: Mirrokni, Thorup, Zadimoghaddam 2016.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from hubq.core.hashing import ring_point

#: Points per node on the ring: enough that neighbours on it are well mixed.
POINTS = 64


class Ring:
    """A consistent-hash ring of nodes. The order in which nodes are given does not matter.

    >>> ring = Ring(["b", "a"])
    >>> sorted(ring.walk(7)) == ["a", "b"] and list(ring.walk(7)) == list(Ring(["a", "b"]).walk(7))
    True
    """

    def __init__(self, nodes: Iterable[str]) -> None:
        self.nodes = tuple(sorted(set(nodes)))
        points = sorted((ring_point("node", node, i), node) for node in self.nodes for i in range(POINTS))
        self._places = [place for place, _ in points]
        self._owners = [node for _, node in points]

    def walk(self, shard: int) -> Iterator[str]:
        """Every node once, in the order in which the ring prefers them for this shard."""
        start = bisect_left(self._places, _shard_point(shard))
        seen: set[str] = set()
        for step in range(len(self._owners)):
            node = self._owners[(start + step) % len(self._owners)]
            if node not in seen:
                seen.add(node)
                yield node
                if len(seen) == len(self.nodes):
                    return


@lru_cache(maxsize=4096)
def _shard_point(shard: int) -> int:
    return ring_point("shard", shard)


def shard_order(shard: int) -> int:
    """In which order shards choose their nodes: that of their places on the ring."""
    return _shard_point(shard)


def ring_of(nodes: Iterable[str]) -> Ring:
    """The ring of these nodes, remembered."""
    return _ring(tuple(sorted(set(nodes))))


@lru_cache(maxsize=16)
def _ring(nodes: tuple[str, ...]) -> Ring:
    return Ring(nodes)


def place(nodes: Iterable[str], owners: Mapping[int, str | None], shards: int) -> dict[int, str]:
    """The node each shard belongs to.

    ``nodes`` are the live nodes that may own shards, ``owners`` the present owner of each shard (None, a missing entry,
    or a node not in ``nodes``: it needs a new one). No node gets more than ``ceil(shards / nodes)``, and as few shards
    as possible change hands. Empty when there are no nodes.

    >>> place(["a"], {}, 2)
    {0: 'a', 1: 'a'}
    >>> place(["a", "b"], {0: "a", 1: "b", 2: "a", 3: "b"}, 4)
    {0: 'a', 1: 'b', 2: 'a', 3: 'b'}
    """
    names = tuple(sorted(set(nodes)))
    if not names:
        return {}
    ring = _ring(names)
    held: dict[str, list[int]] = {name: [] for name in names}
    homeless: list[int] = []
    for shard in range(shards):
        owner = owners.get(shard)
        if owner in held:
            held[owner].append(shard)
        else:
            homeless.append(shard)
    share = _shares(names, {name: len(mine) for name, mine in held.items()}, shards)
    room = {name: share[name] - len(held[name]) for name in names}
    receivers = {name for name in names if room[name] > 0}
    for name in names:
        if room[name] < 0:
            # Give away those the ring would rather have at a node that has room.
            mine = sorted(held[name], key=lambda shard: (_rank(ring, shard, receivers), _shard_point(shard)))
            homeless += mine[: -room[name]]
    result = {shard: name for name, mine in held.items() for shard in mine}
    for shard in sorted(homeless, key=_shard_point):
        taker = next(name for name in ring.walk(shard) if room[name] > 0)
        room[taker] -= 1
        result[shard] = taker
    return dict(sorted(result.items()))


def _rank(ring: Ring, shard: int, wanted: set[str]) -> int:
    return next((rank for rank, name in enumerate(ring.walk(shard)) if name in wanted), len(ring.nodes))


def _shares(names: tuple[str, ...], loads: Mapping[str, int], shards: int) -> dict[str, int]:
    """How many shards each node should have: all the same but for one, the larger shares where most is in place."""
    each, extra = divmod(shards, len(names))
    larger = sorted(names, key=lambda name: (-loads[name], ring_point("share", name)))[:extra]
    return {name: each + (1 if name in larger else 0) for name in names}


@dataclass(frozen=True, slots=True)
class Move:
    """One shard that should change hands."""

    shard: int
    source: str
    target: str


def plan(
    current: Mapping[int, str | None], desired: Mapping[int, str], in_progress: Iterable[int], limit: int
) -> list[Move]:
    """The moves to begin now: owned shards that belong elsewhere, at most ``limit`` in motion per source.

    >>> plan({0: "a", 1: "a"}, {0: "b", 1: "a"}, in_progress=[], limit=4)
    [Move(shard=0, source='a', target='b')]
    """
    moving = set(in_progress)
    busy: dict[str, int] = {}
    for shard in moving:
        owner = current.get(shard)
        if owner is not None:
            busy[owner] = busy.get(owner, 0) + 1
    moves: list[Move] = []
    for shard, target in sorted(desired.items()):
        source = current.get(shard)
        if source is None or source == target or shard in moving or busy.get(source, 0) >= limit:
            continue
        busy[source] = busy.get(source, 0) + 1
        moves.append(Move(shard, source, target))
    return moves
