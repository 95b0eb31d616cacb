"""Voiding: when this node is no member any more, nothing that it has in memory counts."""

from __future__ import annotations

import logging

from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.wishes import Wishes
from hubq.node.children.endings import Endings
from hubq.node.copies.protocol import Copies
from hubq.node.held.register import Register
from hubq.node.runtime.background import Background
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.event_log import EventLog
from hubq.node.runtime.standing import Standing
from hubq.store.primary import PrimaryWatch

log = logging.getLogger("hubq.node")


class Voiding:
    """Drops all that this node holds. It alone says that a node must stop serving."""

    def __init__(
        self, standing: Standing, background: Background, events: EventLog, counters: Counters, register: Register,
        endings: Endings, copies: Copies, wishes: Wishes, arrivals: Arrivals, watch: PrimaryWatch,
    ) -> None:  # fmt: skip
        self._standing = standing
        self._background = background
        self._events = events
        self._counters = counters
        self._register = register
        self._endings = endings
        self._copies = copies
        self._wishes = wishes
        self._arrivals = arrivals
        watch.subscribe(self._another_redis)

    def void(self, why: str) -> None:
        """Nothing that this node has in memory counts any more. The next renewal finds it evicted, and it joins anew."""
        standing = self._standing
        if not standing.incarnation:
            return
        self._counters.lease_lost()
        log.error("node %s%s: %s; its children stop here", standing.node_name, standing.place, why)
        # Those that were about to open here as well: Redis may have given them to this incarnation already.
        shards = self._arrivals.shards
        self._arrivals.forget_all()
        self._copies.forget_all()
        self._wishes.forget_put_offs()
        holdings = self._register.all()
        shards |= {holding.shard for holding in holdings}
        for holding in holdings:
            self._register.drop(holding)
            self._background.run(
                self._endings.dispose(list(holding.children.values()), "fenced"), f"dropping shard {holding.shard}"
            )
        # From now on this incarnation is void, even if nobody has evicted it: its children are gone.
        standing.void(shards)

    def _another_redis(self, was: str, now: str) -> None:
        """Redis was restarted or has failed over, and may have lost writes. It is right, and our memory is void."""
        if self._standing.incarnation:
            self.void("another Redis answers than before: it was restarted, or failed over")
            self._events.add("redis_changed", was=was.split(" ")[0], now=now.split(" ")[0])
