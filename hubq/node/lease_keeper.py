"""Keeps the node's lease, watches the others', and fences the node itself when it cannot renew."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from hubq.errors import RedisUnavailable
from hubq.node.tasks import end_tasks
from hubq.store.connection import LOST
from hubq.store.membership import evict_node, renew_lease

if TYPE_CHECKING:
    from hubq.node.parts import Parts

log = logging.getLogger("hubq.node")


class LeaseKeeper:
    """One renewal per heartbeat, and one right after the end of a lease that somebody does not renew."""

    def __init__(self, parts: Parts, lost: Callable[[str], Awaitable[None]]) -> None:
        self._parts = parts
        self._lost = lost
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
        parts = self._parts
        over = silent = False
        while True:
            began = parts.now()
            try:
                async with asyncio.timeout(max(parts.config.heartbeat, parts.config.lease / 3)):
                    evicted = not await self._renew()
                if silent:
                    log.info("Redis answers %s again", parts.node_name)
                silent = False
            except (*LOST, RedisUnavailable, TimeoutError) as error:
                if not silent:
                    log.warning("lease of %s not renewed: %s", parts.node_name, str(error) or "no answer")
                silent = True
                evicted = False
            except Exception:
                log.exception("renewing the lease failed")
                evicted = False
            try:
                if evicted:
                    await self._lost("evicted")
                    over = False
                elif not parts.lease_over():
                    over = False
                elif not over:
                    over = True
                    await self._lost("lease over")
            except Exception:
                log.exception("node %s: leaving its shards failed", parts.node_name)
            await asyncio.sleep(max(0.0, min(began + parts.config.heartbeat, self._next_end) - parts.now()))

    async def _renew(self) -> bool:
        parts = self._parts
        asked_at = parts.now()
        self._next_end = float("inf")
        lease_ms = int(parts.config.lease * 1000)
        incarnation, epoch = parts.incarnation, parts.epoch
        command = renew_lease(parts.keys, parts.node_name, incarnation, lease_ms, epoch, parts.granted_ms)
        answer = await parts.redis.run(command)
        if parts.incarnation != incarnation:
            return False  # void meanwhile: join anew
        if not answer.ok:
            if answer.went_back:
                parts.void("Redis does not know any more what it had confirmed")
            return False
        if parts.lease_over():
            # Over, even if nobody has noticed: what waited for Redis has given up by now, and serves no more.
            return False
        parts.granted_ms = answer.now_ms + lease_ms
        # A live node's lease never comes this near its end: wake right after it, not a heartbeat later.
        self._next_end = parts.now() + (answer.next_end_ms + 1) / 1000
        untrusted = not parts.lease.trusted(parts.now())
        parts.lease.renewed(asked_at)
        parts.clock.observe(asked_at, parts.now(), answer.now_ms)
        if untrusted:
            # We had stopped starting handlers; nobody else has taken over, so go on.
            parts.resume_all()
            parts.committer.changed()
        for name in answer.expired:
            if name != parts.node_name:
                word = await parts.redis.run(evict_node(parts.keys, name, parts.node_name, parts.config.events_kept))
                if word == "evicted":
                    log.warning("node %s is evicted: its lease ran out", name)
        if answer.epoch != epoch or answer.expired:
            parts.epoch = answer.epoch
            parts.kick()
        return True
