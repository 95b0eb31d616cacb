"""Puts the jobs that children have enqueued into RQ (docs/effects.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from hubq.client.faces.jobs import Put
from hubq.core.malformed import Malformed
from hubq.errors import HubqError, RedisRefused, RedisUnavailable
from hubq.node.held.errands import Errand
from hubq.node.held.register import Register
from hubq.node.held.waiting_jobs import WaitingJobs
from hubq.node.runtime.group import Group
from hubq.node.runtime.loop import Loop
from hubq.node.runtime.malformed import MalformedReports
from hubq.store.waiting_jobs import jobs_length

log = logging.getLogger("hubq.node")

#: How soon it is tried again if RQ cannot be reached, or refuses, seconds; it doubles up to LONGEST_PAUSE.
PAUSE = 0.1
LONGEST_PAUSE = 5.0


class JobForwarder(Loop):
    """One loop for all shards of the node. It sleeps while no job waits. ``put`` does the work, in a thread: RQ's code waits.

    What waits when it stops is put into RQ by the next owner of its shard.

    ``waiting``: jobs that were found and could not be put into RQ yet; ``reason``: why. (Another thread may read them.)
    """

    def __init__(
        self, group: Group, register: Register, jobs: WaitingJobs, outboxes: Sequence[Errand], reports: MalformedReports,
        put: Callable[[int], Put],
    ) -> None:  # fmt: skip
        super().__init__("putting jobs into RQ")
        self.waiting = 0
        self.reason = ""
        self._group = group
        self._register = register
        self._jobs = jobs
        self._outboxes = outboxes
        self._reports = reports
        self._put = put
        self._left: list[int] = []  # shards in which jobs wait
        self._pause = PAUSE

    async def _turn(self) -> None:
        news = await self._jobs.marked(self._pause if self._left else None)
        self._left += self._jobs.take()
        try:
            self._left = await self._not_empty(self._left)
            while self._left:
                await self._forward(self._left[0])
                self._left.pop(0)
        except Exception as error:
            self._pause = PAUSE if news else min(self._pause * 2, LONGEST_PAUSE)
            if isinstance(error, RedisUnavailable) and not isinstance(error, RedisRefused):
                raise
            self._tell(error)
        else:
            self._account(0, "")
            self._pause = PAUSE

    def _tell(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, HubqError) else repr(error)
        if reason != self.reason:  # it is tried again and again
            log.error("jobs that children have enqueued cannot be put into RQ, and wait: %s", reason, exc_info=error)
        self._account(self.waiting, reason)

    def _account(self, waiting: int, reason: str) -> None:
        self.waiting, self.reason = waiting, reason

    async def _not_empty(self, shards: Iterable[int]) -> list[int]:
        """Those of these shards that are here, and in which jobs wait. (The next owner of a shard looks, too.)"""
        group = self._group
        here = [shard for shard in dict.fromkeys(shards) if self._register.of_shard(shard)]
        lengths = await group.redis.run_many([jobs_length(group.keys, shard) for shard in here]) if here else []
        self._account(sum(lengths), self.reason)
        return [shard for shard, length in zip(here, lengths, strict=True) if length]

    async def _forward(self, shard: int) -> None:
        """Put all jobs of a shard into RQ."""
        while True:
            put = await asyncio.to_thread(self._put, shard)
            for place, why in put.malformed:
                self._reports.report(Malformed(place, why))
            if put.keyed:
                for outbox in self._outboxes:
                    outbox.arrived(shard)
            if not put.more:
                return
