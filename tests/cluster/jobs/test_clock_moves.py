"""The clock of a hub moves when its node drains, and is taken over when it dies: each tick once."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from typing import Any

import rq
from rq.job import Job

from hubq import Hub, NoClock
from hubq.core.job_names import name_in_rq
from hubq.testing import Cluster, eventually


def tick(word: str = "tick") -> str:
    return word


def ticks_of(hub: Hub, name: str) -> list[Job]:
    """Every job a cron entry has enqueued, oldest first."""
    from rq.cron import get_cron_job_ids

    ids = get_cron_job_ids(name_in_rq(hub.hub_id, name), hub.rq_queue.connection)
    return [Job.fetch(job_id, hub.rq_queue.connection) for job_id in reversed(ids)]


def play(hub: Hub, scenario: Any) -> None:
    async def whole() -> None:
        async with Cluster(hub) as cluster:
            await scenario(cluster)

    asyncio.run(whole())


def seconds(jobs: list[Job]) -> list[int]:
    return [int(job.id.rpartition("-")[2]) for job in jobs]


def leader_of(hub: Hub) -> str:
    try:
        return hub.clock()
    except NoClock:
        return ""


def test_cron_ticks_once_however_many_nodes_and_is_taken_over(real_server: Any) -> None:
    hub = Hub(f"clock-{os.getpid()}", redis=real_server, shards=4, lease=0.8, lease_margin=0.2, heartbeat=0.1)
    hub.cron("* * * * * *", tick, "x", name=f"each-{hub.hub_id}", result_ttl=120)  # the sixth field: seconds
    name = f"each-{hub.hub_id}"

    async def scenario(cluster: Cluster) -> None:
        await asyncio.to_thread(hub.start_clock)
        await asyncio.to_thread(hub.start_clock)
        await cluster.start("a", "b", "c")
        await cluster.settled()
        await eventually(lambda: len(ticks_of(hub, name)) >= 2, 15.0, "two ticks")
        leader = await asyncio.to_thread(hub.clock)
        await cluster.drain(leader)
        moved = len(ticks_of(hub, name))
        await eventually(lambda: len(ticks_of(hub, name)) >= moved + 2, 15.0, "ticks after the drain of the leader")
        second = await asyncio.to_thread(hub.clock)
        assert second != leader
        await cluster.kill(second)
        killed = len(ticks_of(hub, name))
        await eventually(lambda: len(ticks_of(hub, name)) >= killed + 2, 20.0, "ticks after the death of the leader")
        third = await eventually(lambda: asyncio.to_thread(leader_of, hub), 5.0, "a leader")
        assert third not in (leader, second)
        jobs = ticks_of(hub, name)
        assert len(set(seconds(jobs))) == len(jobs), "each second at most once"
        assert sorted(seconds(jobs)) == seconds(jobs)
        assert all(job.args == ("x",) and job.result_ttl == 120 and job.origin == hub.queue_name for job in jobs)
        assert len(rq.cron.CronScheduler.all(hub.rq_queue.connection)) >= 1

    play(hub, scenario)


def test_a_tick_that_fell_between_two_clocks_is_made_up_for_once(real_server: Any) -> None:
    hub = Hub(f"gap-{os.getpid()}", redis=real_server, shards=4)
    name = f"gap-{hub.hub_id}"
    hub.cron("* * * * * *", tick, name=name)

    async def scenario(cluster: Cluster) -> None:
        await asyncio.to_thread(hub.start_clock)
        await cluster.start("a")
        await eventually(lambda: len(ticks_of(hub, name)) >= 1, 15.0, "a tick")
        await cluster.drain("a")
        last = seconds(ticks_of(hub, name))[-1]
        await eventually(lambda: datetime.now().timestamp() > last + 3.5, 10.0, "nobody is there for three ticks")
        before = len(ticks_of(hub, name))
        await cluster.start("b")
        await eventually(lambda: len(ticks_of(hub, name)) >= before + 2, 15.0, "ticks again")
        late = seconds(ticks_of(hub, name))[before:]
        assert late[0] == last + 1, "the first of those that were missed"
        assert late[1] > last + 3, "the others were not made up for"

    play(hub, scenario)
