"""What ``hubq jobs`` shows: every kind of job, in each of its states."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest
import rq

from hubq import Hub, InvalidJob
from hubq.jobs.overview import JobLine, overview
from hubq.testing import Cluster, eventually


def add(a: int, b: int = 1) -> int:
    return a + b


def refuse() -> None:
    raise ValueError("not today")


async def export(ctx: Any, fails: bool = False) -> int:
    if fails:
        raise ValueError("no disk")
    return 1


def by_id(hub: Hub, **options: Any) -> dict[str, JobLine]:
    return {line.id: line for line in overview(hub, **options).jobs}


def work(hub: Hub) -> None:
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    rq.SimpleWorker([hub.rq_queue], connection=hub.rq_queue.connection).work(burst=True, logging_level="CRITICAL")
    for number, handler in before:  # RQ leaves its own behind
        signal.signal(number, handler)


def test_every_kind_of_job_in_each_state(make_hub: Any) -> None:
    hub = make_hub(shards=4)
    slow: Any = hub.job(resumable=True)(export)
    queued, failing = hub.enqueue(add, 1), hub.enqueue(refuse)
    after = hub.enqueue(add, 2, depends_on=queued)
    hub.enqueue(add, 1, key="k")
    hub.enqueue(add, 2, key="k")
    resumable = slow.enqueue(job_id="r1", meta={"for": "ann"})
    seen = overview(hub)
    lines = {line.id: line for line in seen.jobs}
    assert seen.queue == hub.queue_name and seen.clock is None and seen.workers == []
    assert seen.counts == {
        "queued": 2, "started": 0, "scheduled": 0, "deferred": 1, "failed": 0, "finished": 0, "keys": 1, "resumable": 1,
        "waiting": 0,
    }  # fmt: skip
    assert {each: lines[each].state for each in (queued.id, after.id, "job:k", resumable.id)} == {
        queued.id: "queued", after.id: "deferred", "job:k": "started", "r1": "queued",
    }  # fmt: skip
    assert lines[queued.id].function.endswith(".add") and lines[queued.id].at and lines["r1"].function == "export"
    assert lines["job:k"].waiting == 3, "the start, and two jobs"

    work(hub)
    later = hub.enqueue_in(600, add, 1)
    child = hub.enqueue_in(600, add, 1, key="k")
    lines = by_id(hub)
    assert (lines[failing.id].state, lines[failing.id].reason) == ("failed", "ValueError: not today")
    assert (lines[later.id].kind, lines[later.id].state) == ("queue", "scheduled")
    assert (lines[child.id].kind, lines[child.id].state) == ("clock", "scheduled")
    assert set(by_id(hub, state="finished")) == {queued.id, after.id}

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            broken = await hub.aio.enqueue(slow, True)
            await eventually(
                lambda: asyncio.to_thread(lambda: broken.id in by_id(hub, state="failed")), 20.0, "its outcome"
            )
            lines = await asyncio.to_thread(by_id, hub, state="failed")
            assert set(lines) == {failing.id, broken.id} and lines[broken.id].kind == "resumable"
            await eventually(
                lambda: asyncio.to_thread(lambda: "r1" in by_id(hub, state="finished")), 20.0, "the other's"
            )
            await eventually(lambda: asyncio.to_thread(lambda: "job:k" not in by_id(hub)), 20.0, "its jobs have run")
            assert (await asyncio.to_thread(by_id, hub, idle=True))["job:k"].state == "idle"
            await eventually(lambda: asyncio.to_thread(lambda: overview(hub).clock == "a"), 20.0, "the clock")

    asyncio.run(scenario())
    with pytest.raises(InvalidJob, match="no job is ever 'lost': give one of queued"):
        overview(hub, state="lost")


def test_at_most_so_many_of_each(make_hub: Any) -> None:
    hub = make_hub()
    for number in range(5):
        hub.enqueue(add, number)
    seen = overview(hub, most=2)
    assert len(seen.jobs) == 2 and seen.counts["queued"] == 5
