"""Resumable jobs: they go on where they were, and their outcome is kept as a job's is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import rq

from hubq import CallTimeout, ConfigError, DuplicateJob, Hub, InvalidJob, JobFailed, NoSuchJob, current_hub
from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.testing import Cluster, eventually


class Gates:
    """Events of the test that the functions wait for; in-process clusters share them."""

    def __init__(self) -> None:
        self.reached: list[Any] = []
        self.go = asyncio.Event()


gates = Gates()


async def count(ctx: Any, until: int) -> list[int]:
    seen = ctx.state.setdefault("seen", [])
    while len(seen) < until:
        if len(seen) == until // 2:
            gates.reached.append(ctx.node_name)
            await gates.go.wait()
        seen.append(len(seen))
        await asyncio.sleep(0.001)
    return seen


async def stumble(ctx: Any, times: int) -> dict[str, int]:
    ctx.state.setdefault("done", 0)
    ctx.state.done += 1
    await ctx.commit()
    ctx.state.done += 100  # not committed: a retry does not see it
    if ctx.state.done % 100 <= times:
        raise ValueError(f"stumbled at {ctx.state.done}")
    return dict(ctx.state)


async def hang(ctx: Any) -> None:
    gates.reached.append(current_hub().hub_id)
    await asyncio.Event().wait()


async def lock(ctx: Any) -> Any:
    import threading

    return threading.Lock()


def scenario_of(hub: Hub, *nodes: str) -> Any:
    """Runs a scenario with nodes."""

    def run(scenario: Any) -> None:
        async def whole() -> None:
            global gates
            gates = Gates()
            async with Cluster(hub) as cluster:
                if nodes:
                    await cluster.start(*nodes)
                await scenario(cluster)

        asyncio.run(whole())

    return run


def ttl(hub: Hub, job_id: str) -> int:
    return SyncRedis(hub.server).run(plain("TTL", hub.keys.result(job_id), read=int))


def test_a_move_in_the_middle_and_it_goes_on(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    job_of: Any = hub.job(resumable=True, result_ttl=60)(count)

    async def scenario(cluster: Cluster) -> None:
        job = await hub.aio.enqueue(job_of, 100)
        await eventually(lambda: gates.reached == ["a"], what="half way")
        assert await job.status() == "started"
        await cluster.start("b")
        await cluster.drain("a")
        await eventually(lambda: gates.reached == ["a", "b"], what="half way, elsewhere")
        gates.go.set()
        assert await job.result(10) == list(range(100))
        assert await job.status() == "finished" and 0 < ttl(hub, job.id) <= 60

        async def gone() -> bool:
            return await hub.aio.children() == []

        await eventually(gone, what="the child has ended")
        assert await asyncio.to_thread(hub.resumable_job(job.id).result, 5) == list(range(100))
        again = hub.resumable_job(job.id)
        assert await asyncio.to_thread(lambda: again.status == "finished" and not again.cancel())

    scenario_of(hub, "a")(scenario)


def test_a_crash_and_it_goes_on_from_its_last_commit(make_hub: Any) -> None:
    hub = make_hub(shards=4, lease=0.8, lease_margin=0.2)
    job_of: Any = hub.job(resumable=True)(count)

    async def scenario(cluster: Cluster) -> None:
        job = await hub.aio.enqueue(job_of, 10)
        await eventually(lambda: gates.reached == ["a"], what="half way")
        await cluster.kill("a")
        gates.go.set()
        await cluster.start("b")
        assert await job.result(20) == list(range(10))

    scenario_of(hub, "a")(scenario)


def test_retries_go_on_from_the_last_commit(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    job_of: Any = hub.job(resumable=True, retry=rq.Retry(max=2, interval=[0, 1]))(stumble)

    async def scenario(cluster: Cluster) -> None:
        good, bad = await hub.aio.enqueue(job_of, 2), await hub.aio.enqueue(job_of, 3, failure_ttl=50)
        assert await good.result(10) == {"done": 103}
        with pytest.raises(JobFailed, match="stumbled at 103") as raised:
            await bad.result(10)
        assert (raised.value.status, raised.value.remote_type) == ("failed", "ValueError")
        assert "in stumble" in raised.value.remote_traceback
        assert await bad.status() == "failed" and 0 < ttl(hub, bad.id) <= 50

    scenario_of(hub, "a")(scenario)


def test_a_time_limit_and_a_cancel(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    job_of: Any = hub.job(resumable=True)(hang)

    async def scenario(cluster: Cluster) -> None:
        short, long = await hub.aio.enqueue(job_of, job_timeout=1), await hub.aio.enqueue(job_of)
        await eventually(lambda: gates.reached == [hub.hub_id] * 2, what="both run, with their hub at hand")
        with pytest.raises(CallTimeout, match="it is started"):
            await long.result(0.05)
        assert await long.cancel()
        for job, status, said in [(long, "canceled", "was canceled"), (short, "failed", "time limit of 1 s")]:
            with pytest.raises(JobFailed, match=said):
                await job.result(10)
            assert await job.status() == status

        async def gone() -> bool:
            return await hub.aio.children() == []

        await eventually(gone, what="both have ended")

    scenario_of(hub, "a")(scenario)


def test_ids_and_results_that_are_not_kept(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    count_job: Any = hub.job(resumable=True)(count)
    lock_job: Any = hub.job(resumable=True)(lock)

    async def scenario(cluster: Cluster) -> None:
        gates.go.set()
        job = await hub.aio.enqueue(count_job, 2, job_id="nightly", unique=True, meta={"for": "ann"})
        assert job.id == "nightly"
        assert await job.result(10) == [0, 1]
        with pytest.raises(DuplicateJob, match="its result is still kept"):
            await hub.aio.enqueue(count_job, 2, job_id="nightly", unique=True)
        again = await hub.aio.enqueue(count_job, 4, job_id="nightly", result_ttl=0)
        await eventually(lambda: len(gates.reached) == 2, what="it ran again")
        with pytest.raises(NoSuchJob):
            await again.result(20)
        unsavable = await hub.aio.enqueue(lock_job)
        with pytest.raises(JobFailed, match="cannot be pickled"):
            await unsavable.result(10)

    scenario_of(hub, "a")(scenario)


def test_with_no_node_it_waits(make_hub: Any) -> None:
    hub = make_hub()
    job_of: Any = hub.job(resumable=True)(count)
    job = job_of.enqueue(1, job_id="waits")
    assert job.status == "queued"
    with pytest.raises(CallTimeout, match="it is queued"):
        job.result(0.02)
    with pytest.raises(DuplicateJob, match="it runs, or waits"):
        job_of.enqueue(1, job_id="waits")
    with pytest.raises(NoSuchJob, match="no job 'other'"):
        _ = hub.resumable_job("other").status


def test_what_cannot_be(make_hub: Any) -> None:
    hub = make_hub()
    job_of: Any = hub.job(resumable=True)(count)
    for options, said in [
        ({"depends_on": "x"}, "a resumable job has no depends_on"),
        ({"key": "x"}, "a resumable job has no key"),
        ({"unique": True}, "wants a job_id"),
        ({"job_timeout": 0}, "0 timeout is not allowed"),
        ({"retry": 3}, "give rq.Retry"),
    ]:
        with pytest.raises(InvalidJob, match=said):
            job_of.enqueue(1, **options)

    def plain_function() -> None: ...

    with pytest.raises(ConfigError, match="async def"):
        hub.job(resumable=True)(plain_function)
    assert hub.children() == []
