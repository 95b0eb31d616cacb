"""In which shards messages to children of other groups may wait, group by group: commits and arrivals set the marks."""

from __future__ import annotations

from collections.abc import Sequence

from hubq.node.held.marked_shards import MarkedShards
from hubq.store.far import SentFar
from hubq.store.saying import Saying


class FarOutboxes:
    """``lanes``: for each other group the shards to look at. None, if the hub has one group.

    >>> far = FarOutboxes(own=0, groups=3)
    >>> far.committed(6, [SentFar("a", 2, 5, "b", "post", b"", b"", "x.1")], held=False)
    >>> far.lanes[1].take(), far.lanes[2].take()
    ([], [6])
    """

    def __init__(self, own: int = 0, groups: int = 1) -> None:
        self.lanes = {group: MarkedShards() for group in range(groups) if group != own}

    def arrived(self, shard: int) -> None:
        """The shard is here: look whether something waits."""
        for lane in self.lanes.values():
            lane.arrived(shard)

    def waits(self, shard: int, group: int) -> None:
        """Something waits in this shard for this group."""
        self.lanes[group].arrived(shard)

    def committed(self, shard: int, said: Sequence[Saying], held: bool) -> None:
        """A commit has written what children of the shard said."""
        if self.lanes:
            for group in {saying.group for saying in said if isinstance(saying, SentFar)}:
                self.lanes[group].arrived(shard)
