"""Who follows which shard, and what a follower makes of the log it reads (docs/protocol.md, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from hubq.core.placement import Ring
from hubq.core.view import View, settled

#: ``belongs_to`` of a distribution strategy: the node of each shard.
BelongsTo = Callable[[View], Mapping[int, str]]


def followers(belongs_to: BelongsTo, view: View, copies: int) -> dict[int, tuple[str, ...]]:
    """The nodes that keep the other ``copies - 1`` copies of each owned shard, the one that would take over first.

    The first follower is the node to which the placement would give the shard if its owner were gone: so a standby takes
    over, and no shard moves that would not have moved without copies.

    >>> from hubq.core.placement import place
    >>> from hubq.core.view import NodeView
    >>> view = View({name: NodeView(name, 1) for name in "ab"}, {0: "a", 1: "b"}, shards=2)
    >>> followers(lambda v: place(v.nodes, v.owners, v.shards), view, copies=2)
    {0: ('b',), 1: ('a',)}
    >>> followers(lambda v: place(v.nodes, v.owners, v.shards), view, copies=1)
    {}
    """
    found: dict[int, tuple[str, ...]] = {}
    if copies < 2:
        return found
    for owner in sorted({name for name in view.owners.values() if name is not None}):
        rest = {name: node for name, node in view.nodes.items() if name != owner}
        if not rest:
            continue
        owners = {shard: None if name == owner else name for shard, name in view.owners.items()}
        without = View(rest, owners, view.shards, view.assignment)
        after = settled(belongs_to(without), without)
        ring = _ring(tuple(sorted(rest))) if copies > 2 and len(rest) > 1 else None
        for shard in view.holds(owner):
            others = [other for other in ring.walk(shard) if other != after[shard]] if ring is not None else []
            found[shard] = (after[shard], *others)[: copies - 1]
    return dict(sorted(found.items()))


@lru_cache(maxsize=64)
def _ring(nodes: tuple[str, ...]) -> Ring:
    return Ring(nodes)


def place_in_stream(entry: str) -> tuple[int, int]:
    """A stream entry's id in its order.

    >>> place_in_stream("0") < place_in_stream("9-2") < place_in_stream("10-1")
    True
    """
    first, _, second = entry.partition("-")
    return int(first), int(second or 0)


@dataclass(slots=True)
class LogPosition:
    """How far a follower has read a log: ``number`` of the last entry, and its id in the stream.

    >>> position = LogPosition(7, "100-0")
    >>> position.judge(8), position.judge(7), position.judge(10)
    ('next', 'seen', 'gap')
    """

    number: int
    entry: str

    def judge(self, number: int) -> str:
        """``"next"``, ``"seen"`` (before the follower began), or ``"gap"``: entries were cut off before they were read."""
        if number <= self.number:
            return "seen"
        return "next" if number == self.number + 1 else "gap"

    def read(self, number: int, entry: str) -> None:
        """This one has been taken in."""
        self.number, self.entry = number, entry
