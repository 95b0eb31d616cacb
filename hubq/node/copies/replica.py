"""A replica: the copies of one followed shard, and how far its log has been taken in (docs/protocol.md, section 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from hubq.core.replication import LogPosition, place_in_stream
from hubq.node.copies.recorder import Silence
from hubq.node.held.holding import Holding, HostedChild
from hubq.store.owners import Owner

#: How often a follower reports while it gets on, and how often at least, seconds.
REPORT_NEWS, REPORT = 0.5, 5.0


class Replica:
    """One shard that this node follows. Passive: the methods are its only writers."""

    def __init__(self, shard: int, owner: str) -> None:
        self.shard = shard
        self.owner = owner
        self.apart: frozenset[str] = frozenset()
        """Nodes that hold children of the shard as pins."""
        self.holding = Holding(shard, Owner("-", 0, 0), Silence(), is_copy=True)
        self.position = LogPosition(0, "0")
        self.reading = False
        """It is built; entries of the log are taken in."""
        self.waiting: set[str] = set()
        """Children whose state the primary has been asked for: there is none here yet."""
        self.doubted: set[str] = set()
        """Children whose state the new primary has been asked for: the state here may be old."""
        self.lock = asyncio.Lock()
        """Held while entries are taken in: one batch after the other."""
        self._queued: dict[str, tuple[int, int]] = {}  # child -> the last message that was queued here
        self._full: set[HostedChild] = set()  # copies with as many messages queued as there may be
        self._reported = (0, False, 0.0)

    # -- its way ---------------------------------------------------------------------------------------------------

    def follows_from(self, position: LogPosition, *, handles: bool) -> None:
        """The log is taken in from here on. ``handles``: its copies handle messages."""
        self.position = position
        if handles:
            self.holding.open_intake()

    def is_built(self) -> None:
        """All copies are there: entries of the log may be taken in."""
        self.reading = True

    def leaves_log(self) -> None:
        """No entries are taken in any more. Its copies may still handle what they have."""
        self.reading = False

    def end(self) -> list[HostedChild]:
        """Its copies are dropped: these."""
        self.leaves_log()
        self.holding.lose()
        return list(self.holding.children.values())

    def owned_by(self, owner: str) -> None:
        """Another node is the primary. What it has done is known from msk and the log; they may lack the state of children
        whose durability is not "commit".
        """
        self.owner = owner
        self.doubted |= {child for child, hosted in self.holding.children.items() if hosted.kind.durability != "commit"}

    def held_apart_by(self, nodes: Iterable[str]) -> None:
        """These nodes have pins of the shard."""
        self.apart = frozenset(nodes)

    @property
    def ready(self) -> bool:
        """Whether every copy is as its original was at the last entry that was read (but for messages in hand)."""
        return self.reading and not self.waiting and not self.doubted

    # -- one child -------------------------------------------------------------------------------------------------

    def waits_for(self, child: str) -> None:
        """The child's state is not known yet."""
        self.waiting.add(child)

    def knows(self, child: str) -> None:
        """The child's state is known."""
        self.waiting.discard(child)
        self.doubted.discard(child)

    def forget(self, child: str) -> None:
        """There is no copy of the child any more."""
        self.holding.detach(child)
        self._queued.pop(child, None)
        self.knows(child)

    def holds_until(self, child: str, cursor: str) -> None:
        """The child's state holds its messages up to this entry."""
        self._queued[child] = place_in_stream(cursor)

    def is_next(self, child: str, entry: str) -> bool:
        """Whether a message comes after all messages that the child has had here. If so, it is the last one from now on."""
        place = place_in_stream(entry)
        if place <= self._queued.get(child, (0, 0)):
            return False
        self._queued[child] = place
        return True

    def doubts(self, child: str) -> bool:
        """Whether the state here may not be the one that the log leads to."""
        return child in self.waiting or child in self.doubted

    # -- how much it has in hand -----------------------------------------------------------------------------------

    def queued(self, hosted: HostedChild, queue_limit: int, queue_bytes: int) -> None:
        """A message was queued for a copy."""
        queue = hosted.queue
        if queue and (len(queue) >= queue_limit or hosted.queued_bytes >= queue_bytes):
            self._full.add(hosted)

    def has_room(self, queue_limit: int, queue_bytes: int) -> bool:
        """Whether entries may be read: each copy whose queue was full has room for half of it again."""
        count, size = queue_limit // 2, queue_bytes // 2
        self._full = {c for c in self._full if c.queue and (len(c.queue) > count or c.queued_bytes > size)}
        return not self._full

    # -- its reports -----------------------------------------------------------------------------------------------

    def report_is_due(self, now: float) -> bool:
        """Whether to tell Redis how far it is."""
        number, ready, at = self._reported
        return now > at + (REPORT_NEWS if (number, ready) != (self.position.number, self.ready) else REPORT)

    def reports(self, now: float) -> None:
        """It tells Redis how far it is."""
        self._reported = (self.position.number, self.ready, now)
