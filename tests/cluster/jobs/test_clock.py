"""What runs by the clock: once per hub, on one node, taken over when that node goes."""

from __future__ import annotations

import asyncio
import signal
from datetime import datetime, timedelta
from typing import Any

import pytest
import rq
from rq.job import Job, JobStatus

from hubq import Child, ConfigError, Hub, InvalidJob, NoClock, current_hub
from hubq.core.job_names import name_in_rq
from hubq.testing import Cluster, eventually


class Room(Child):
    def __init__(self, topic: str) -> None:
        self.topic = topic

    async def told(self) -> str:
        return self.topic


def tick(word: str = "tick") -> str:
    return word


async def slow_tick(ctx: Any, word: str) -> str:
    return f"{word} in {current_hub().hub_id}"


def ticks_of(hub: Hub, name: str) -> list[Job]:
    """Every job a cron entry has enqueued, oldest first, and the second each was for."""
    from rq.cron import get_cron_job_ids

    ids = get_cron_job_ids(name_in_rq(hub.hub_id, name), hub.rq_queue.connection)
    return [Job.fetch(job_id, hub.rq_queue.connection) for job_id in reversed(ids)]


async def status(job: Job, wanted: JobStatus) -> None:
    await eventually(lambda: job.get_status() == wanted, 15.0, f"job {wanted}")


def play(hub: Hub, scenario: Any) -> None:
    async def whole() -> None:
        async with Cluster(hub) as cluster:
            await scenario(cluster)

    asyncio.run(whole())


def test_jobs_children_keys_and_resumables_later(make_hub: Any) -> None:
    hub = make_hub(shards=4, key_processes=1)
    slow: Any = hub.job(resumable=True)(slow_tick)

    async def scenario(cluster: Cluster) -> None:
        job = await asyncio.to_thread(hub.enqueue_in, 0.2, tick, "later")
        child = await asyncio.to_thread(hub.start_child_in, 0.2, "room-1", Room, "redis", metadata={"tag": "vip"})
        at = await asyncio.to_thread(
            hub.start_child_at, datetime.now() + timedelta(seconds=0.2), "room-2", Room, topic="arq"
        )
        keyed = await asyncio.to_thread(hub.enqueue_in, 0.2, tick, "keyed", key="k")
        resumable = await asyncio.to_thread(hub.enqueue_in, timedelta(seconds=0.2), slow, "resumed", job_id="r1")
        assert hub.rq_queue.count == 0 and job.get_status() == JobStatus.SCHEDULED
        with pytest.raises(NoClock, match=r"1 scheduled jobs wait\): start a worker that hosts children"):
            await asyncio.to_thread(hub.clock)
        await cluster.start("a")
        await eventually(lambda: hub.rq_queue.job_ids == [job.id], 15.0, "the job is in its queue")
        assert await asyncio.to_thread(hub.clock) == "a"
        for each, value in [(child, "started"), (at, "started"), (keyed, f"{keyed.id}-run"), (resumable, "r1")]:
            await status(each, JobStatus.FINISHED)
            assert each.return_value(refresh=True) == value
        assert await hub.aio.ref("room-1").call("told") == "redis"
        assert await hub.aio.ref("room-2").call("told") == "arq"
        rooms = {each.child_id: each.metadata for each in await hub.aio.children()}
        assert rooms["room-1"] == {"tag": "vip"}
        await status(Job.fetch(f"{keyed.id}-run", hub.rq_queue.connection), JobStatus.FINISHED)
        assert await hub.aio.resumable_job("r1").result(10) == f"resumed in {hub.hub_id}"
        again = await asyncio.to_thread(hub.start_child_in, 0, "room-1", Room, "again")
        assert again.get_status() == JobStatus.SCHEDULED

    play(hub, scenario)


def test_a_retry_after_an_interval_comes_back_by_the_clock(make_hub: Any) -> None:
    hub = make_hub(shards=4, key_processes=1)

    async def scenario(cluster: Cluster) -> None:
        job = await asyncio.to_thread(hub.enqueue, "test_clock.no_such_function", retry=rq.Retry(max=1, interval=1))
        await cluster.start("a")
        before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
        rq.SimpleWorker([hub.rq_queue], connection=hub.rq_queue.connection).work(burst=True, logging_level="CRITICAL")
        for number, handler in before:  # RQ leaves its own behind
            signal.signal(number, handler)
        assert job.get_status() == JobStatus.SCHEDULED
        await eventually(lambda: hub.rq_queue.job_ids == [job.id], 15.0, "the retry is in its queue")

    play(hub, scenario)


def test_cron_starts_children_keyed_and_resumable_jobs(make_hub: Any) -> None:
    hub = make_hub(shards=4, key_processes=1)
    slow: Any = hub.job(resumable=True)(slow_tick)
    hub.cron("* * * * * *", Room, "cron", child_id="room-c")
    hub.cron("* * * * * *", tick, "k", key="k", name=f"keyed-{hub.hub_id}")
    hub.cron("* * * * * *", slow, "r", name=f"slow-{hub.hub_id}")

    async def scenario(cluster: Cluster) -> None:
        await asyncio.to_thread(hub.start_clock)
        await cluster.start("a")
        await eventually(lambda: len(ticks_of(hub, f"slow-{hub.hub_id}")) >= 2, 15.0, "two ticks of each")
        assert await hub.aio.ref("room-c").call("told") == "cron"
        first = ticks_of(hub, f"slow-{hub.hub_id}")[0]
        await status(first, JobStatus.FINISHED)
        assert await hub.aio.resumable_job(f"{first.id}-run").result(10) == f"r in {hub.hub_id}"
        keyed = ticks_of(hub, f"keyed-{hub.hub_id}")[0]
        await status(keyed, JobStatus.FINISHED)
        await status(Job.fetch(f"{keyed.id}-run", hub.rq_queue.connection), JobStatus.FINISHED)

    play(hub, scenario)


@pytest.mark.parametrize(
    ("cron", "options", "said"),
    [
        ("every day", {}, "'every day' of entry 'tick' is refused"),
        ("61 * * * *", {}, "is refused"),
        (60, {}, "five fields"),
        ("* * * * *", {"depends_on": "x"}, "has no depends_on='x'"),
        ("* * * * *", {"retry": rq.Retry(max=1)}, "has no retry"),
    ],
)
def test_cron_entries_that_cannot_be(make_hub: Any, cron: Any, options: dict[str, Any], said: str) -> None:
    hub = make_hub()
    with pytest.raises(ConfigError, match=said):
        hub.cron(cron, tick, **options)
    hub.cron("0 9 * * *", tick)
    with pytest.raises(ConfigError, match="two cron entries of the name 'tick'"):
        hub.cron("0 10 * * *", tick)
    with pytest.raises(InvalidJob, match="<lambda>"):
        hub.cron("0 9 * * *", lambda: 1, name="other")
    with pytest.raises(InvalidJob, match="is no time"):
        hub.start_child_at("tomorrow", "x", Room)
    assert hub.children() == []
