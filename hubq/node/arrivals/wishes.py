"""Where children are wanted: the wishes of a hub as one node knows them. Nothing is done about them here."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hubq.core.hashing import shard_of
from hubq.core.wish import Wish
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.runtime.bell import News
from hubq.node.runtime.group import Group
from hubq.store.membership import NodeInfo
from hubq.store.places import read_wishes
from hubq.store.spec_record import SpecRecord


class Wishes:
    """Moves by hand, places that children were started with, and which nodes take children.

    ``news`` is rung when there are other wishes than before: what could not start then may start now.
    """

    def __init__(self, group: Group, news: News) -> None:
        self.news = news
        self._group = group
        self._moves: dict[str, Wish] = {}
        self._by_shard: dict[int, list[str]] = {}
        self._epoch = 0
        self._ups: dict[str, int] = {}
        self._not_before: dict[str, tuple[str, int, float]] = {}

    # -- what is known ---------------------------------------------------------------------------------------------

    async def refresh(self, epoch: int) -> bool:
        """Read the wishes again if there are others than before (True)."""
        if epoch == self._epoch:
            return False
        self._moves = await self._group.redis.run(read_wishes(self._group.keys))
        self._by_shard = {}
        for child in self._moves:
            self._by_shard.setdefault(shard_of(child, self._group.config.shards), []).append(child)
        self._epoch = epoch
        self._not_before.clear()  # a new wish asks for another try
        self.news.ring()
        return True

    def seen(self, nodes: Mapping[str, NodeInfo]) -> None:
        """The members have been read."""
        self._ups = {name: info.incarnation for name, info in nodes.items() if info.up}

    @property
    def ups(self) -> Mapping[str, int]:
        """The nodes that take children, as of the last look: name -> incarnation."""
        return self._ups

    def is_up(self, node: str) -> bool:
        """Whether a node takes children, as of the last look."""
        return node in self._ups

    # -- what is wanted --------------------------------------------------------------------------------------------

    def wish(self, child: str, record: SpecRecord | None) -> Wish | None:
        """Where a child is wanted: a move by hand goes before what it was started with."""
        found = self._moves.get(child)
        if found is None and record is not None and record.place:
            found = Wish.read(record.place)
        return found

    def elsewhere(self, child: str, record: SpecRecord) -> bool:
        """Whether this node is not to serve a child, though it owns its shard."""
        wish = self.wish(child, record)
        return wish is not None and wish.elsewhere(self._group.node_name, self._ups)

    def here(self, hosted: HostedChild) -> bool:
        """Whether a child is wanted on this very node."""
        wish = self.wish(hosted.child_id, hosted.record)
        return wish is not None and wish.node == self._group.node_name

    def concern(self, shard: int) -> Collection[str]:
        """The children of a shard that are moved by hand."""
        return self._by_shard.get(shard, ())

    def staying(self, holding: Holding) -> set[str]:
        """The children of a shard that are wanted on this very node, and do not move with it."""
        candidates = {*holding.guided, *self.concern(holding.shard)} & holding.children.keys()
        return {child for child in candidates if self.here(holding.children[child])}

    # -- when to try again -----------------------------------------------------------------------------------------

    def may_go(self, child: str, target: str, now: float) -> bool:
        """Whether a child may be offered to its node: not again at once after a failure, unless the node is a new one."""
        node, incarnation, when = self._not_before.get(child, ("", 0, 0.0))
        return (node, incarnation) != (target, self._ups.get(target, 0)) or now >= when

    def put_off(self, child: str, target: str, until: float) -> None:
        """It could not go there: offer it to this life of the node again at ``until`` (monotonic seconds), not before."""
        self._not_before[child] = (target, self._ups.get(target, 0), until)

    def forget_put_offs(self) -> None:
        """The node was evicted: all that failed may be tried again."""
        self._not_before.clear()
