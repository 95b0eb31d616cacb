"""Renews the node's lease, evicts nodes whose lease is over, and has this node drop everything when it cannot renew."""

from __future__ import annotations

import asyncio
import logging

from hubq.errors import RedisUnavailable
from hubq.node.membership.member import Member
from hubq.node.membership.resuming import Resuming
from hubq.node.membership.voiding import Voiding
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.group import Group
from hubq.node.runtime.tasks import end_tasks
from hubq.store.connection import LOST
from hubq.store.membership import evict_node, renew_lease

log = logging.getLogger("hubq.node")


class LeaseKeeper:
    """One renewal per heartbeat, and one right after the end of another node's lease."""

    def __init__(self, group: Group, plan_due: Bell, member: Member, voiding: Voiding, resuming: Resuming) -> None:
        self._group = group
        self._plan_due = plan_due
        self._member = member
        self._voiding = voiding
        self._resuming = resuming
        self._next_end = float("inf")  # when the next lease in the hub ends unless it is renewed, local time
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin renewing."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Renew no more."""
        await end_tasks([self._task])
        self._task = None

    async def _work(self) -> None:
        config, standing = self._group.config, self._group.standing
        over = silent = False
        while True:
            began = standing.now()
            try:
                async with asyncio.timeout(max(config.heartbeat, config.lease / 3)):
                    evicted = not await self._renew()
                if silent:
                    log.info("Redis answers %s again", standing.node_name)
                silent = False
            except (*LOST, RedisUnavailable, TimeoutError) as error:
                if not silent:
                    log.warning("lease of %s not renewed: %s", standing.node_name, str(error) or "no answer")
                silent = True
                evicted = False
            except Exception:
                log.exception("renewing the lease failed")
                evicted = False
            try:
                if evicted:
                    await self._member.lost("evicted")
                    over = False
                elif not standing.lease_over():
                    over = False
                elif not over:
                    over = True
                    await self._member.lost("lease over")
            except Exception:
                log.exception("node %s: dropping its shards failed", standing.node_name)
            await asyncio.sleep(max(0.0, min(began + config.heartbeat, self._next_end) - standing.now()))

    async def _renew(self) -> bool:
        group, config, standing = self._group, self._group.config, self._group.standing
        asked_at = standing.now()
        self._next_end = float("inf")
        lease_ms = int(config.lease * 1000)
        incarnation, epoch = standing.incarnation, standing.epoch
        command = renew_lease(group.keys, standing.node_name, incarnation, lease_ms, epoch, standing.granted_ms)
        answer = await group.redis.run(command)
        if standing.incarnation != incarnation:
            return False  # void meanwhile: join anew
        if not answer.ok:
            if answer.went_back:
                self._voiding.void("Redis has an older lease or epoch than it had confirmed")
            return False
        if standing.lease_over():
            # It is over, even if no other node has noticed: departures that waited for Redis have given up by now.
            return False
        # A live node's lease never comes this near its end: wake right after it, not a heartbeat later.
        self._next_end = standing.now() + (answer.next_end_ms + 1) / 1000
        untrusted = not standing.trusted()
        standing.renewed(asked_at, answer.now_ms, lease_ms)
        if untrusted:
            # No handler was started meanwhile, and no other node has taken over: go on.
            self._resuming.resume_all()
        for name in answer.expired:
            if name != standing.node_name:
                word = await group.redis.run(evict_node(group.keys, name, standing.node_name, config.events_kept))
                if word == "evicted":
                    log.warning("node %s is evicted: its lease ran out", name)
        if answer.epoch != epoch or answer.expired:
            standing.epoch_seen(answer.epoch)
            self._plan_due.ring()
        return True
