"""Who follows which shard, and what a follower makes of the log it reads (docs/protocol.md, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from hubq.core.placement import Ring
from hubq.core.view import View, settled

#: ``belongs_to`` of a distribution strategy: the node of each shard.
BelongsTo = Callable[[View], Mapping[int, str]]
#: ``master_node`` of a redundancy strategy: which of the nodes with copies of a shard takes it over.
MasterNode = Callable[[int, Sequence[str], View], str]


def first_of(shard: int, names: Sequence[str], view: View) -> str:
    """The ``master_node`` of the strategies that are there."""
    return names[0]


def followers(
    belongs_to: BelongsTo, view: View, copies: int, master_node: MasterNode = first_of
) -> dict[int, tuple[str, ...]]:
    """The nodes that keep the other ``copies - 1`` copies of each owned shard, the one that would take over first.

    The first follower is the node to which the placement would give the shard if its owner were gone: so a standby takes
    over, and no shard moves that would not have moved without copies. Unless ``master_node`` prefers another one of them.

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
        for shard in view.holds(owner):
            found[shard] = _in_order(shard, after[shard], without, copies, master_node)
    return dict(sorted(found.items()))


def heirs(
    desired: Mapping[int, str], view: View, shards: Iterable[int], copies: int, master_node: MasterNode = first_of
) -> dict[int, str]:
    """Who takes over each of these shards, whose owners are no places for them any more: the first of their followers, as
    they are found from ``desired``, the placement in this view.

    >>> from hubq.core.view import NodeView
    >>> view = View({name: NodeView(name, 1) for name in "abc"}, {0: None}, shards=1)
    >>> heirs({0: "b"}, view, [0], copies=3), heirs({0: "b"}, view, [0], copies=3, master_node=lambda s, names, v: max(names))
    ({0: 'b'}, {0: 'c'})
    """
    return {shard: _in_order(shard, desired[shard], view, copies, master_node)[0] for shard in shards}


def _in_order(shard: int, preferred: str, view: View, copies: int, master_node: MasterNode) -> tuple[str, ...]:
    """The followers of a shard whose owner is not among the nodes of this view."""
    others: list[str] = []
    if copies > 2 and len(view.nodes) > 1:
        others = [other for other in _ring(tuple(sorted(view.nodes))).walk(shard) if other != preferred]
    names = (preferred, *others)[: max(1, copies - 1)]
    first = master_node(shard, names, view)
    return (first, *(name for name in names if name != first)) if first in names else names


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
