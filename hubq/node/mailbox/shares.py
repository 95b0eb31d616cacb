"""Which mailboxes are named in one read. A waiting node has several reads under way, each with a share of its shards.

Redis writes down, for each mailbox that a read waits for, that it does; and strikes all of it out when one of them has a message.
So a read that names all 64 mailboxes of a node costs Redis more than the script that brings the message (docs/performance.md). A
message ends the read of its share alone, and that names few mailboxes. While messages come in batches, one read names all
mailboxes again: then most of them have something.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set

#: Shards of one share, as long as there are no more than MOST shares.
SHARE = 8
#: Reads that wait at the same time.
MOST = 8
#: So many messages in one read are a batch.
BATCH = 8
#: After so many reads without a batch, the shares are read apart again.
CALM = 8


class Shares:
    """The shards of a node in shares. One of them is always read, so that a node without shards hears the wake.

    >>> shares = Shares()
    >>> shares.divide({*range(20)}), [shares.of(number) for number in range(4)]
    (False, [(0, 1, 2, 3, 4, 5, 6, 7), (8, 9, 10, 11, 12, 13, 14, 15), (16, 17, 18, 19), ()])
    >>> shares.found(1, messages=40); [shares.of(number) for number in range(3)]
    [(), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19), ()]
    """

    def __init__(self) -> None:
        self._parts: list[list[int]] = [[] for _ in range(MOST)]
        self._of: dict[int, int] = {}  # shard -> the number of its share
        self._named: list[tuple[int, ...]] = [()] * MOST
        self._collector: int | None = None  # the share whose read names all shards
        self._calm = 0
        self._changed = asyncio.Event()

    def divide(self, shards: Set[int]) -> bool:
        """These are the shards now. True: other shares must be told, since some that they wait for are read by another."""
        if self._of.keys() == shards:
            return False
        needed = max(1, min(MOST, -(-len(shards) // SHARE)))
        thin = sum(map(bool, self._parts)) > 2 * needed
        if thin:  # many have left, and each of the shares has few: they are put together
            self._parts, self._of = [[] for _ in range(MOST)], {}
        for shard in self._of.keys() - shards:
            self._parts[self._of.pop(shard)].remove(shard)
        for shard in sorted(shards - self._of.keys()):
            self._of[shard] = number = self._roomy()
            self._parts[number].append(shard)
        self._name()
        return thin

    def of(self, number: int) -> tuple[int, ...]:
        """The shards that the read of this share names; none: it does not read now."""
        return self._named[number]

    def reads(self, number: int) -> bool:
        """Whether this share is read now."""
        return bool(self._named[number]) or number == (self._collector or 0)

    async def due(self, number: int) -> None:
        """Wait until this share is read."""
        while not self.reads(number):
            await self._changed.wait()

    def found(self, number: int, messages: int) -> None:
        """The read of a share has found so many messages."""
        if self._collector is None:
            if messages >= BATCH and sum(map(bool, self._parts)) > 1:
                self._collector, self._calm = number, 0
                self._name()
        elif number == self._collector:
            self._calm = 0 if messages >= BATCH else self._calm + 1
            if self._calm >= CALM:
                self._collector = None
                self._name()

    def _roomy(self) -> int:
        """The share for one more shard: one that is begun and not full, else an empty one, else the smallest."""
        begun = [number for number, part in enumerate(self._parts) if 0 < len(part) < SHARE]
        return begun[0] if begun else min(range(MOST), key=lambda number: len(self._parts[number]))

    def _name(self) -> None:
        if self._collector is None:
            self._named = [tuple(part) for part in self._parts]
        else:
            self._named = [()] * MOST
            self._named[self._collector] = tuple(self._of)
        self._changed.set()
        self._changed = asyncio.Event()
