"""Which mailboxes are named in one read. A waiting node has several reads under way, each with a share of its shards.

Redis writes down, for each mailbox that a read waits for, that it does; and strikes all of it out when one of them has a message.
So a read that names all 64 mailboxes of a node costs Redis more than the script that brings the message (docs/performance.md). A
message ends the read of its share alone, and that names few mailboxes. While messages come in batches, to one share or to several at once,
one read names all mailboxes again: then most of them have something. It does so while shards come or go, too: then the machine is busy, and
eight reads for one message each take more of it than one read for eight.

A share gets shards only while it does not wait in a read: when its last read has ended, or while it has none. So a shard that comes
ends one read, that of the share that listens, and not all. What a share loses, its read may still name for a while: of two
reads that bring the same messages, the second is passed over (see :class:`~hubq.node.mailbox.reader.Reader`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Set

#: Shards of one share, as long as there are no more than MOST shares.
SHARE = 8
#: Reads that wait at the same time.
MOST = 8
#: So many messages in one read are a batch.
BATCH = 8
#: So many, in reads of different shares that end within so short a time, seconds, would have been a batch in one read.
TOGETHER, AT_ONCE = 12, 0.0005
#: After so many reads without a batch, the shares are read apart again.
CALM = 8


class Shares:
    """The shards of a node in shares. One of them listens: its read hears the wake, and is there even if the node has no shard.

    >>> shares = Shares()
    >>> shares.divide({*range(20)}, (), 0); [shares.of(number) for number in range(4)]
    [(0, 1, 2, 3, 4, 5, 6, 7), (8, 9, 10, 11, 12, 13, 14, 15), (16, 17, 18, 19), ()]
    >>> shares.found(1, messages=40, now=0.0); [shares.of(number) for number in range(3)]
    [(), (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19), ()]
    """

    def __init__(self) -> None:
        self._parts: list[list[int]] = [[] for _ in range(MOST)]
        self._of: dict[int, int] = {}  # shard -> the number of its share
        self._named: list[tuple[int, ...]] = [()] * MOST
        self._waiting = {*range(MOST)}  # shares that have no read under way, and begin none until they have shards
        self._uneven = False
        self._early: set[int] = (
            set()
        )  # shards that have come since the reads of the shares were begun, but for that of the collector
        self._collector: int | None = None  # the share whose read names all shards
        self._calm = 0
        self._together = 0  # messages found since:
        self._since = float("-inf")
        self._changed = asyncio.Event()

    def divide(self, shards: Set[int], come: Iterable[int], share: int) -> None:
        """These are the shards now, and the next read of this share begins. ``come``: shards of which the reads that are under way bring
        nothing, since they were begun too early.
        """
        of = self._of
        self._early.update(come)
        changed = of.keys() != shards
        if changed or come:
            self._collect(share)
        if not changed and (self._collector is not None or not (self._early or self._uneven)):
            return
        for shard in of.keys() - shards:
            self._parts[of.pop(shard)].remove(shard)
        if self._collector is None:
            for shard in self._early:
                if of.get(shard, share) != share:
                    self._give(shard, share)
            self._early.clear()
        most = max(SHARE, -(-len(shards) // MOST))
        for shard in sorted(shards - of.keys()):
            self._give(shard, share)
        self._uneven = self._levels(share, most)
        self._name()

    def of(self, number: int) -> tuple[int, ...]:
        """The shards that the read of this share names."""
        return self._named[number]

    def listens(self, number: int) -> bool:
        """Whether the read of this share hears the wake."""
        return number == (self._collector or 0)

    def reads(self, number: int) -> bool:
        """Whether this share is read now."""
        return bool(self._named[number]) or self.listens(number)

    async def due(self, number: int) -> None:
        """The last read of this share has ended. Wait until it is read again."""
        self._waiting.add(number)
        while not self.reads(number):
            await self._changed.wait()
        self._waiting.discard(number)

    def found(self, number: int, messages: int, now: float) -> None:
        """The read of a share has found so many messages; ``now``: monotonic seconds."""
        if self._collector is None:
            if now - self._since > AT_ONCE:
                self._since, self._together = now, 0
            self._together += messages
            if messages >= BATCH or self._together >= TOGETHER:
                self._collect(number)
        elif number == self._collector:
            self._calm = 0 if messages >= BATCH else self._calm + 1
            if self._calm >= CALM:
                self._collector = None
                self._name()

    def _collect(self, number: int) -> None:
        """The read of this share names all shards, unless that of another does so already."""
        self._calm = 0
        if self._collector is None and sum(map(bool, self._parts)) > 1:
            self._collector = number
            self._name()

    def _give(self, shard: int, number: int) -> None:
        before = self._of.get(shard)
        if before is not None:
            self._parts[before].remove(shard)
        self._of[shard] = number
        self._parts[number].append(shard)

    def _levels(self, share: int, most: int) -> bool:
        """What this share has too many of goes to those that wait. It takes from one that has too many, and takes in one that has few if
        all have few. True: more is to be done, when the reads of others begin.
        """
        parts, mine = self._parts, self._parts[share]
        for number in sorted(self._waiting - {share}):
            for shard in mine[most : 2 * most - len(parts[number])]:
                self._give(shard, number)
        largest = max(parts, key=len)
        if largest is not mine:
            for shard in largest[most : 2 * most - len(mine)]:
                self._give(shard, share)
        if self._thin():
            smallest = min((part for part in parts if part and part is not mine), key=len)
            if len(mine) + len(smallest) <= SHARE:
                for shard in list(smallest):
                    self._give(shard, share)
        return self._thin() or max(map(len, parts)) > most

    def _thin(self) -> bool:
        """Whether there are twice as many shares as are needed, and more."""
        return sum(map(bool, self._parts)) > 2 * -(-len(self._of) // SHARE)

    def _name(self) -> None:
        if self._collector is None:
            self._named = [tuple(part) for part in self._parts]
        else:
            self._named = [()] * MOST
            self._named[self._collector] = tuple(self._of)
        self._changed.set()
        self._changed = asyncio.Event()
