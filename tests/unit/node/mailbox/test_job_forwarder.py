"""The loop that puts jobs of children into RQ: it looks at each shard that comes, and tries again what RQ did not take."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hubq.client.faces.jobs import Put
from hubq.core.malformed import Malformed
from hubq.errors import RedisUnavailable
from hubq.node.held.cursors import Cursors
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.register import Register
from hubq.node.held.waiting_jobs import WaitingJobs
from hubq.node.mailbox.job_forwarder import JobForwarder
from hubq.store.waiting_jobs import Enqueued
from tests.unit.node.fakes import Clock, FakeRedis, a_group, a_holding


class Bench:
    """Shards 0 and 1, each with jobs; RQ cannot be reached the first ``away`` times."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.put: list[int] = []
        self.reported: list[str] = []
        self.all_put = asyncio.Event()
        self.jobs, self.outboxes = WaitingJobs(), Outboxes()
        redis = FakeRedis(lambda command: 2)
        group = a_group(redis, Clock())
        self.register = Register(Cursors(), self.jobs)
        self.forwarder = JobForwarder(group, self.register, self.jobs, (self.outboxes,), cast(Any, self), self.puts)
        for shard in (0, 1):
            self.register.hold(a_holding(shard))

    def puts(self, shard: int) -> Put:
        """As RQ's code does, in a thread."""
        if self.away:
            self.away -= 1
            raise RedisUnavailable("RQ is away")
        self.put.append(shard)
        return Put([(f"entry 1-0 of jobs {shard}", "no job")], keyed=not shard, more=False)

    def report(self, malformed: Malformed) -> None:
        """What is said once the jobs of a shard are in RQ."""
        self.reported.append(malformed.place)
        if len(set(self.reported)) == 2:
            self.all_put.set()

    async def until_put(self) -> None:
        """Wait until both shards were seen to."""
        self.forwarder.start()
        try:
            async with asyncio.timeout(5):
                await self.all_put.wait()
        finally:
            await self.forwarder.stop()


def test_jobs_of_a_shard_that_comes_are_put_into_rq() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.until_put()
        assert bench.put == [0, 1] and bench.outboxes.take() == [0], "one with a key goes on by the outbox"
        assert bench.reported == ["entry 1-0 of jobs 0", "entry 1-0 of jobs 1"]

    asyncio.run(scenario())


def test_an_rq_that_is_away_is_tried_again_and_the_next_commit_does_not_wait_for_that() -> None:
    async def scenario() -> None:
        bench = Bench(away=2)
        bench.jobs.committed(1, [Enqueued("room-1", "j1", "", b"")], False)
        await bench.until_put()
        assert sorted(set(bench.put)) == [0, 1]

    asyncio.run(scenario())
