"""Enqueueing: RQ's jobs, options and refusals, through the hub."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import rq
from rq.exceptions import DuplicateJobError
from rq.job import Job, JobStatus

from hubq import Child, DuplicateJob, Hub, InvalidJob, NotImportable, RedisUnavailable, WaitsInEventLoop


def add(a: int, b: int = 1) -> int:
    return a + b


def run_all(hub: Hub) -> None:
    """What a plain ``rq worker --burst`` on the queue does."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        rq.SimpleWorker([hub.rq_queue], connection=hub.rq_queue.connection).work(burst=True, logging_level="ERROR")
    finally:
        for number, handler in before:  # RQ leaves its own behind
            signal.signal(number, handler)


def test_a_job_is_rqs_and_a_plain_rq_worker_runs_it(make_hub: Any) -> None:
    hub = make_hub()
    job = hub.enqueue(add, 2, b=3, description="sum", meta={"for": "ann"})
    assert isinstance(job, Job) and job.origin == hub.queue_name == f"hubq-{hub.hub_id}"
    assert (job.get_status(), job.description, job.meta) == (JobStatus.QUEUED, "sum", {"for": "ann"})
    run_all(hub)
    assert (job.get_status(), job.return_value()) == (JobStatus.FINISHED, 5)


def test_a_plain_rq_client_may_enqueue_to_the_hubs_queue(make_hub: Any) -> None:
    hub = make_hub()
    client = rq.Queue(hub.queue_name, connection=hub.server.sync_client(5.0))
    job = client.enqueue(add, 1)
    assert hub.rq_queue.job_ids == [job.id]
    run_all(hub)
    assert job.return_value(refresh=True) == 2


def test_options_have_rqs_names(make_hub: Any) -> None:
    hub = make_hub()
    first = hub.enqueue(add, 1, job_timeout="1m", result_ttl=60, failure_ttl=70, ttl=80, retry=rq.Retry(max=3))
    then = hub.enqueue(add, 2, depends_on=first, job_id="after")
    sooner = hub.enqueue(add, args=(3,), kwargs={"b": 4}, at_front=True)
    assert (first.timeout, first.result_ttl, first.failure_ttl, first.ttl, first.retries_left) == (60, 60, 70, 80, 3)
    assert then.get_status() == JobStatus.DEFERRED and hub.rq_queue.job_ids == [sooner.id, first.id]
    run_all(hub)
    assert (then.return_value(refresh=True), sooner.return_value(refresh=True)) == (3, 7)


def test_the_decorator_is_rqs_with_the_hubs_queue(make_hub: Any) -> None:
    hub = make_hub()
    marked: Any = hub.job(timeout=90, result_ttl=50)(add)
    assert marked is add
    job, override = marked.delay(1, b=1), marked.enqueue(1, job_timeout=10)
    assert (job.timeout, job.result_ttl, override.timeout) == (90, 50, 10)
    later = marked.enqueue_in(60, 5)
    assert later.get_status() == JobStatus.SCHEDULED and later.timeout == 90


def test_enqueue_in_and_at_use_rqs_registry(make_hub: Any) -> None:
    hub = make_hub()
    at = datetime.now().astimezone() + timedelta(minutes=5)
    jobs = [hub.enqueue_at(at, add, 1), hub.enqueue_in(timedelta(minutes=1), add, 2), hub.enqueue_in(60, add, 3)]
    registry = hub.rq_queue.scheduled_job_registry
    assert set(registry.get_job_ids()) == {job.id for job in jobs}
    assert registry.get_scheduled_time(jobs[0]).timestamp() == int(at.timestamp())


def test_awaited_enqueueing_is_the_same(make_hub: Any) -> None:
    hub = make_hub()

    async def scenario() -> list[Job]:
        return await asyncio.gather(hub.aio.enqueue(add, 1), hub.aio.enqueue_in(60, add, 2))

    now, later = asyncio.run(scenario())
    assert (now.get_status(), later.get_status()) == (JobStatus.QUEUED, JobStatus.SCHEDULED)


def test_in_an_event_loop_what_waits_is_refused_and_nothing_is_enqueued(make_hub: Any) -> None:
    hub = make_hub()
    marked = hub.job(add)
    soon = datetime.now() + timedelta(minutes=1)
    waiting: list[Callable[[], object]] = [
        lambda: hub.enqueue(add, 1), lambda: hub.enqueue(add, 1, key="k"), lambda: hub.enqueue_in(60, add, 1),
        lambda: hub.enqueue_at(soon, add, 1), lambda: marked.delay(1), lambda: marked.enqueue_in(60, 1),
        lambda: hub.start_child_in(60, "c", Child), lambda: hub.start_child_at(soon, "c", Child),
    ]  # fmt: skip

    async def scenario() -> None:
        for wait in waiting:
            with pytest.raises(WaitsInEventLoop, match=r"await hub\.aio"):
                wait()

    asyncio.run(scenario())
    assert hub.rq_queue.count == 0
    assert hub.rq_queue.scheduled_job_registry.count == 0


def test_a_second_unique_job_is_refused_in_both_worlds(make_hub: Any) -> None:
    hub = make_hub()
    hub.enqueue(add, 1, unique=True, job_id=f"only-{hub.hub_id}")
    for kind in (DuplicateJob, DuplicateJobError):
        with pytest.raises(kind, match="already exists"):
            hub.enqueue(add, 1, unique=True, job_id=f"only-{hub.hub_id}")
    assert hub.rq_queue.count == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"unique": True}, "unique=True requires an explicit job_id"),
        ({"unique": True, "job_id": "x", "depends_on": "y"}, "unique=True is not supported with job dependencies"),
        ({"job_timeout": 0}, "0 timeout is not allowed"),
        ({"ttl": -1}, "ttl must be greater than 0"),
        ({"job_id": "not good"}, "Job ID must only contain"),
        ({"kwargs": {}}, "explicit args and kwargs"),
        ({"webhooks": 3}, "webhooks must be a sequence"),
        ({"retry": 3}, "retry=3 is a int: give rq.Retry"),
        ({"repeat": "x"}, "repeat='x' is a str: give rq.Repeat"),
    ],
)
def test_options_that_contradict_are_one_clear_error(make_hub: Any, options: dict[str, Any], said: str) -> None:
    hub = make_hub()
    with pytest.raises(InvalidJob, match=said) as raised:
        hub.enqueue(add, 1, **options)
    assert "\n" not in str(raised.value) and hub.rq_queue.count == 0


def test_functions_that_no_worker_could_import_are_refused(make_hub: Any) -> None:
    hub = make_hub()

    def local() -> None: ...

    script: Any = type(
        "script", (), {"__module__": "__main__", "__qualname__": "send", "__call__": lambda self: None}
    )()
    for function, said in [
        (lambda: 1, "<lambda> of module"),
        (local, "the local function 'local'"),
        (script, "__main__"),
        ("nodots", "dotted path"),
        (7, "give a function"),
        (add.__call__, "belongs to no module"),
    ]:
        with pytest.raises(NotImportable, match=said):
            hub.enqueue(function)
        with pytest.raises(NotImportable, match=said):
            hub.enqueue_in(5, function)
    assert hub.rq_queue.count == 0


def test_times_that_are_none(make_hub: Any) -> None:
    hub = make_hub()
    for delay in ("soon", None, True):
        with pytest.raises(InvalidJob, match="is no delay: give seconds, or a timedelta"):
            hub.enqueue_in(delay, add, 1)
    with pytest.raises(InvalidJob, match="'soon' is no time: give a datetime"):
        hub.enqueue_at("soon", add, 1)
    assert hub.rq_queue.scheduled_job_registry.count == 0


def test_no_redis_is_the_hubs_own_error() -> None:
    with pytest.raises(RedisUnavailable, match="cannot reach Redis"):
        Hub("nowhere", redis="redis://localhost:1/0").enqueue(add, 1)
