"""Progress of jobs, plain, with a key, and resumable; what is kept of them when they have ended (docs/guide-progress.md)."""

from __future__ import annotations

import asyncio
import time
from contextvars import copy_context
from typing import Any

import pytest

from hubq import Hub, NoCurrentJob, NoSuchJob, Progress, current_job
from hubq.client.current import set_current_hub
from hubq.jobs.keyed_work import KeyedQueue, KeyedThread, perform
from hubq.jobs.overview import JobLine, overview
from hubq.jobs.progress import PACE, JobProgress
from hubq.testing import Cluster, eventually


class Gates:
    """What the functions of the test wait for."""

    def __init__(self) -> None:
        self.go = asyncio.Event()


gates = Gates()


def copy(n: int) -> str:
    job = current_job()
    for done in range(n + 1):
        job.progress(done, n, "copying")
    return job.id


async def copy_all(ctx: Any, n: int) -> int:
    for done in range(n + 1):
        ctx.progress(done, n, "copying")
        if done == n // 2:
            await gates.go.wait()
    return n


async def stumble(ctx: Any) -> None:
    ctx.progress(1, 2)
    raise ValueError("no disk")


def performed(hub: Hub, job: Any) -> None:
    """Run a job as a job process does."""
    connection = hub.server.sync_client(5.0)
    queue = KeyedQueue(hub.queue_name, connection=connection)

    def run() -> None:
        set_current_hub(hub)
        perform(KeyedThread([queue], name=f"{hub.hub_id}.{job.id}", connection=connection), job.id)

    copy_context().run(run)
    connection.close()


def line_of(hub: Hub, job_id: str, state: str | None = None) -> JobLine:
    (line,) = [line for line in overview(hub, state=state).jobs if line.id == job_id]
    return line


@pytest.mark.parametrize("key", [None, "k"])
def test_a_job_of_rq_tells_and_is_asked(make_hub: Any, hubq_run: Any, key: str | None) -> None:
    hub = make_hub()
    job: Any = hub.enqueue(copy, 400, key=key) if key else hub.enqueue(copy, 400)
    assert job.progress() is None and hub.job_progress(job) is None
    performed(hub, job)
    told = job.progress()
    assert (told.done, told.total, told.text) == (400, 400, "copying"), "the last one is written"
    assert hub.job_progress(job.id) == told and job.return_value() == job.id

    async def scenario() -> Progress | None:
        try:
            return await hub.aio.job_progress(job.id)
        finally:
            await hub.aio.close()

    assert hubq_run(scenario()) == told
    with pytest.raises(NoCurrentJob, match="no job at hand"):
        current_job()
    line = line_of(hub, job.id, "finished")
    assert (line.progress, line.function) == (told, f"{__name__}.copy")
    assert line.started and line.ended >= line.started


class Taken:
    """A job whose hash is written by nobody but the test."""

    def __init__(self, hub: Hub) -> None:
        self.id, self.connection = "j", hub.server.sync_client(5.0)
        self.key = f"rq:job:{hub.hub_id}"
        self.connection.hset(self.key, "status", "started")

    def told(self) -> int | None:
        found = self.connection.hget(self.key, "hubq_progress")
        return None if found is None else int(found.decode().strip("[").split(",")[0])


def test_writes_of_a_job_are_few_and_what_is_told_is_seen_without_another_word(make_hub: Any) -> None:
    job = Taken(make_hub())
    progress = JobProgress(job)  # type: ignore[arg-type]
    progress.progress(1)
    assert job.told() == 1, "the first one at once"
    progress.progress(2)
    progress.progress(3)
    assert job.told() == 1
    began = time.monotonic()
    while job.told() != 3:
        assert time.monotonic() < began + 20 * PACE
    progress.progress(4)
    progress.close()
    assert job.told() == 4, "the last one always"
    job.connection.delete(job.key)
    progress.progress(5)
    progress.close()
    assert not job.connection.exists(job.key), "a job that was deleted is not there again"
    job.connection.close()


def test_a_resumable_job_tells_while_it_works_and_when_it_has_ended(make_hub: Any, hubq_run: Any) -> None:
    hub = make_hub()
    hub.job(resumable=True)(copy_all)
    hub.job(resumable=True)(stumble)

    async def scenario() -> None:
        gates.go = asyncio.Event()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            job = await hub.aio.enqueue(copy_all, 10, job_id="copy-1")

            async def half() -> bool:
                return str(await job.progress()) == "5/10 (50%) copying"

            await eventually(half, 10, "it is seen while the job works")
            assert str(await hub.aio.job_progress("copy-1")) == "5/10 (50%) copying"
            line = await asyncio.to_thread(line_of, hub, "copy-1")
            assert (str(line.progress), line.state, line.function) == ("5/10 (50%) copying", "started", "copy_all")
            gates.go.set()
            assert await job.result(20) == 10
            assert str(await job.progress()) == "10/10 (100%) copying"
            failed = await hub.aio.enqueue(stumble, job_id="stumble-1")
            await eventually(lambda: _ended(failed), 20, "it has failed")
        lines = await asyncio.to_thread(
            lambda: [line_of(hub, "copy-1", "finished"), line_of(hub, "stumble-1", "failed")]
        )
        assert [line.function for line in lines] == ["copy_all", "stumble"]
        assert [str(line.progress) for line in lines] == ["10/10 (100%) copying", "1/2 (50%)"]
        assert all(line.started and line.ended >= line.started and line.at == line.ended for line in lines)

    hubq_run(scenario())
    with pytest.raises(NoSuchJob, match="no job 'never'"):
        hub.job_progress("never")


async def _ended(job: Any) -> bool:
    return bool(await job.status() == "failed")
