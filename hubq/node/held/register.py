"""The register: all holdings of a node."""

from __future__ import annotations

from collections.abc import Iterator

from hubq.node.held.cursors import Cursors
from hubq.node.held.errands import Errand
from hubq.node.held.holding import Holding, HostedChild


class Register:
    """What this node holds. A holding that is in it is read for."""

    def __init__(self, cursors: Cursors, errands: Errand) -> None:
        self._cursors = cursors
        self._errands = errands
        self._holdings: dict[tuple[int, str | None], Holding] = {}

    def __len__(self) -> int:
        return len(self._holdings)

    def get(self, shard: int, pinned: str | None = None) -> Holding | None:
        """A shard, or the pin of a child of it."""
        return self._holdings.get((shard, pinned))

    def of_child(self, shard: int, child: str) -> Holding | None:
        """The holding that serves a child, or would: its pin, else its shard."""
        return self._holdings.get((shard, child)) or self._holdings.get((shard, None))

    def all(self) -> list[Holding]:
        """Shards and pins, in the order in which they came."""
        return list(self._holdings.values())

    def of_shard(self, shard: int) -> list[Holding]:
        """A shard and its pins, as far as they are here."""
        return [holding for holding in self._holdings.values() if holding.shard == shard]

    def shards(self) -> list[int]:
        """The shards here (not those of which only a pin is)."""
        return [shard for shard, pinned in self._holdings if pinned is None]

    def children(self) -> Iterator[HostedChild]:
        """Every hosted child."""
        for holding in self._holdings.values():
            yield from holding.children.values()

    def hold(self, holding: Holding) -> None:
        """A shard or pin is ours: read for it, and see to its errands."""
        self._holdings[holding.shard, holding.pinned] = holding
        self._cursors.add(holding)
        self._errands.arrived(holding.shard)

    def drop(self, holding: Holding) -> None:
        """It is ours no more: nothing of it is read or committed here."""
        holding.lose()
        self._cursors.remove(holding)
        if self._holdings.get((holding.shard, holding.pinned)) is holding:
            del self._holdings[holding.shard, holding.pinned]
