"""Jobs in a Redis of their own (``jobs_redis``): all kinds of them, and those that children enqueue, each once."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from typing import Any

import pytest
from rq.job import Job

from hubq import Hub
from hubq.jobs import effects
from hubq.jobs.attention import look
from hubq.store.connection import RedisServer
from hubq.store.embedded import EmbeddedServer
from hubq.testing import Cluster, FakeServer, Ledger, LedgerChild, eventually
from tests.real_redis import no_real_redis

_numbers = itertools.count()


def note(*what: Any) -> None:
    """A job."""


async def steps(ctx: Any) -> str:
    ctx.progress(1, 2)
    return "done"


class Clerk(LedgerChild):
    """Enqueues a job for each message that it has applied."""

    async def record(self, sender: str, number: int) -> int:
        applied = await super().record(sender, number)
        self.enqueue(note, self.child_id, number)
        return applied

    async def enqueue_with(self, options: dict[str, Any]) -> str:
        return self.enqueue(note, self.child_id, **options)


@pytest.fixture(scope="module")
def other_server() -> Iterator[RedisServer]:
    """A second real Redis."""
    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            no_real_redis()
        yield RedisServer(embedded.url)


@pytest.fixture(params=["fakeredis", "redis"])
def hub(request: pytest.FixtureRequest) -> Iterator[Hub]:
    """A hub whose jobs are elsewhere."""
    here: Any = FakeServer()
    there: Any = FakeServer()
    if request.param == "redis":
        here, there = request.getfixturevalue("real_server"), request.getfixturevalue("other_server")
    name = f"apart{os.getpid()}-{next(_numbers)}"
    hub = Hub(name, redis=here, jobs_redis=there, shards=8, lease=2.0, lease_margin=0.4, heartbeat=0.1)
    hub.child(Clerk)
    yield hub
    hub.close()


def told(hub: Hub, child: str) -> list[int]:
    """The numbers of the jobs of a child in RQ's queue, in its order."""
    return [job.args[1] for job in hub.rq_queue.get_jobs() if job.args[0] == child]


def test_jobs_of_children_come_once_and_in_order_through_moves_and_a_kill(hub: Hub) -> None:
    names = [f"clerk-{number}" for number in range(6)]

    async def scenario() -> None:
        ledger = Ledger(hub)

        async def sends(child: str) -> None:
            for _ in range(25):
                await ledger.call("ann", child)

        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in names:
                await hub.aio.start_child(child, Clerk)
            sending = asyncio.gather(*map(sends, names))
            await cluster.start("b")
            await cluster.settled()
            await cluster.kill("a")
            await cluster.start("c")
            await cluster.settled()
            await cluster.drain("b")
            await sending
            await ledger.check()
            for child in names:
                await eventually(lambda child=child: len(told(hub, child)) >= 25, 10, f"the jobs of {child} are in RQ")
                assert told(hub, child) == list(range(1, 26))

    asyncio.run(scenario())


def test_what_was_put_into_rq_and_not_taken_out_here_is_not_put_there_again(hub: Hub, monkeypatch: Any) -> None:
    delete, died = effects.delete_put, []

    def die_first(*args: Any) -> Any:
        if len(died) < 2:
            died.append(args)
            raise ConnectionError("the node is killed between the two steps")
        return delete(*args)

    monkeypatch.setattr(effects, "delete_put", die_first)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("clerk", Clerk)
            for number in range(1, 4):
                await hub.aio.ref("clerk").call("record", "ann", number)
            await eventually(lambda: len(told(hub, "clerk")) >= 3, 10, "all jobs are in RQ")
            await hub.aio.ref("clerk").call("record", "ann", 4)
            await eventually(lambda: len(told(hub, "clerk")) >= 4, 10, "the next one, too")
        assert died and told(hub, "clerk") == [1, 2, 3, 4]

    asyncio.run(scenario())


def test_a_key_a_resumable_job_and_progress(hub: Hub) -> None:
    hub.job(resumable=True)(steps)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("clerk", Clerk)
            kept = await asyncio.to_thread(hub.enqueue, note, "outside", key="k")
            inside = await hub.aio.ref("clerk").call("enqueue_with", {"key": "k"})
            await eventually(lambda: ended(hub, kept.id) and ended(hub, inside), 20, "both jobs of the key have run")
            assert await hub.aio.job_progress(kept) is None
            assert await hub.aio.job_progress(inside) is None
            job = await hub.aio.enqueue(steps, job_id="steps")
            assert await job.result(20) == "done"
            progress = await hub.aio.job_progress("steps")
            assert progress is not None and progress.done == 1
        assert await asyncio.to_thread(look, hub) == []

    asyncio.run(scenario())


def ended(hub: Hub, job_id: str) -> bool:
    """Whether RQ has run a job. (One that a child has enqueued comes a moment later.)"""
    connection = hub.rq_queue.connection
    return Job.exists(job_id, connection=connection) and Job.fetch(job_id, connection=connection).is_finished
