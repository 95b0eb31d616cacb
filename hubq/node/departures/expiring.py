"""Dormant children end by themselves when they have had no message for ``expire_after`` (docs/dormant.md)."""

from __future__ import annotations

import logging
import math

from hubq.core.malformed import Malformed
from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.children.endings import Endings
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding
from hubq.node.held.register import Register
from hubq.node.runtime.counters import Counters
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.connection import LOST
from hubq.store.dormant import expire_children, read_expiring, read_next_expiry

log = logging.getLogger("hubq.node")

#: How soon it is tried again if Redis did not answer, or the shard is under a new token, ms.
AGAIN_MS = 500.0
#: How soon a shard is tried again of which Redis refuses to read when children expire, ms.
REFUSED_AGAIN_MS = 10_000.0
#: The longest sleep, seconds: the clocks of node and Redis drift.
LONGEST_SLEEP = 60.0


class Expiring(Loop):
    """One loop for all shards of the node. It sleeps until the next child expires. When it stops, the next owner of each shard
    goes on.
    """

    def __init__(
        self, group: Group, register: Register, expiries: DueTimes, endings: Endings, counters: Counters,
        reports: MalformedReports,
    ) -> None:  # fmt: skip
        super().__init__("letting children expire")
        self._group = group
        self._register = register
        self._expiries = expiries
        self._endings = endings
        self._counters = counters
        self._reports = reports

    async def _turn(self) -> None:
        await self._expiries.changed(self._pause())
        for shard in self._expiries.due(self._group.standing.redis_now_ms()):
            self._expiries.asked(shard)
            next_ms = await self._seen_to(shard)
            self._expiries.answered(shard, next_ms)

    def _pause(self) -> float | None:
        next_ms = self._expiries.next_ms()
        if next_ms is None:
            return None
        return min(max(0.001, (next_ms - self._group.standing.redis_now_ms()) / 1000), LONGEST_SLEEP)

    async def _seen_to(self, shard: int) -> float:
        """See to one shard: when to look again, ms of Redis TIME."""
        group = self._group
        holding, now_ms = self._register.get(shard), group.standing.redis_now_ms()
        if holding is None:
            return math.inf  # its next owner sees to it
        if not group.standing.trusted():
            return now_ms + AGAIN_MS
        try:
            next_ms = await group.redis.run(read_next_expiry(group.keys, shard))
            return next_ms if next_ms > now_ms else await self._expire(holding, now_ms)
        except RedisRefused as error:
            self._reports.report(Malformed(f"when children of shard {shard} expire", str(error)))
            return now_ms + REFUSED_AGAIN_MS
        except (*LOST, RedisUnavailable) as error:
            log.debug("dormant children wait for their end: %s", error)
        except Exception:
            log.exception("children of shard %d could not expire", shard)
        return now_ms + AGAIN_MS

    async def _expire(self, holding: Holding, now_ms: float) -> float:
        group, shard = self._group, holding.shard
        children = await group.redis.run(read_expiring(group.keys, shard, now_ms))
        if not children:
            return now_ms + AGAIN_MS  # this node's clock is ahead of that of Redis
        expired = await group.redis.run(expire_children(group.keys, shard, holding.owner, children))
        if expired is None:
            return now_ms + AGAIN_MS  # another node has it, or it is under a new token that is on its way
        self._counters.have_expired(len(expired.children))
        for child in expired.children:
            self._endings.expired(holding, child)
        return math.inf if expired.next_in is None else now_ms + expired.next_in * 1000
