"""Whoever can write to RQ's keys, and has no key of the seal: nothing runs, no result is forged, no worker stops."""

from __future__ import annotations

import json
import pickle
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.results import Result
from rq.utils import now, utcformat

from hubq import Hub, HubqError, InvalidJob, NoSuchJob
from hubq.client.current import set_current_hub
from hubq.core.job_names import Purpose
from hubq.errors import Unsealed
from hubq.jobs.acts import cancel_job, retry_job
from hubq.jobs.clock import Wheels
from hubq.jobs.commands import STOP, checked, command_of, tell_to_stop
from hubq.jobs.hub_job import HubJob
from hubq.jobs.hub_queue import HubQueue
from hubq.jobs.overview import of_queues
from hubq.jobs.queued_job import QueuedJob
from hubq.jobs.removal import delete_jobs
from hubq.jobs.serializer import as_data, serializer_of
from hubq.jobs.work import HubWorker
from hubq.store.keyring import Keyring, new_keys
from hubq.store.seal import Seal
from tests.contract.jobs.burst import run_all

RAN: list[Any] = []


class Evil:
    def __reduce__(self) -> Any:
        return (RAN.append, ("code ran",))


def echo(value: Any) -> Any:
    RAN.append("echo")
    return value


def touch(text: str) -> None:
    RAN.append(text)


@pytest.fixture(params=["require", "write"])
def hub(make_hub: Callable[..., Hub], request: pytest.FixtureRequest) -> Hub:
    RAN.clear()
    hub = make_hub(codec="data", seal=request.param, keys=new_keys())
    hub.register_job(echo)
    hub.register_job(touch)
    return hub


def again(hub: Hub, job: Job, **fields: Any) -> None:
    """Write into a job that has ended, and put it into the queue, as somebody does who can write to Redis."""
    redis = hub.rq_queue.connection
    redis.hset(job.key, mapping={**fields, "status": "queued"})
    redis.rpush(hub.rq_queue.key, job.id)


def kept_result(hub: Hub, job: Job) -> dict[bytes, bytes]:
    ((_, fields),) = hub.rq_queue.connection.xrange(Result.get_key(job.id))
    return dict(fields)


def test_a_result_is_no_argument_and_a_meta_no_result(hub: Hub) -> None:
    job = hub.enqueue(echo, [f"{__name__}.touch", None, ["MOVED"], {}], meta={"x": 1})
    run_all(hub)
    fields = kept_result(hub, job)
    again(hub, job, data=b64decode(fields[b"return_value"]))
    run_all(hub)
    assert RAN == ["echo"] and job.get_status(refresh=True) == JobStatus.FAILED
    redis = hub.rq_queue.connection
    meta, data = redis.hget(job.key, "meta"), job.data
    for forged in (meta, data):
        redis.xadd(Result.get_key(job.id), {**fields, b"return_value": b64encode(forged)})
        with pytest.raises(Unsealed):
            job.return_value(refresh=True)
    redis.hset(job.key, "meta", b64decode(fields[b"return_value"]))
    with pytest.raises(Unsealed):
        job.get_meta(refresh=True)


def test_the_key_of_an_app_makes_no_results(make_hub: Callable[..., Hub]) -> None:
    root = new_keys()
    workers = make_hub(codec="data", seal="require", keys=root)
    workers.register_job(echo)
    job = workers.enqueue(echo, 1)
    run_all(workers)
    app = Seal(workers.hub_id, Keyring.read(Keyring.read(root).derive("shop")), writes=True, required=True)
    forged = app.own(as_data("forged"), "job", "result", job.id)
    workers.rq_queue.connection.xadd(
        Result.get_key(job.id), {**kept_result(workers, job), b"return_value": b64encode(forged)}
    )
    with pytest.raises(Unsealed, match="only workers"):
        job.return_value(refresh=True)


def test_what_an_older_process_has_bound_to_a_job_alone_is_read_while_a_hub_is_switched(hub: Hub) -> None:
    job = hub.enqueue(echo, 5)
    seal = hub.driver.context.seal
    assert seal is not None
    former = seal.own(as_data((f"{__name__}.echo", None, [7], {})), "job", job.id)
    hub.rq_queue.connection.hset(job.key, "data", former)
    run_all(hub)
    if hub.config.seal == "write":
        assert job.return_value(refresh=True) == 7
    else:
        assert job.get_status(refresh=True) == JobStatus.FAILED and RAN == []


def test_operators_unpickle_nothing(hub: Hub) -> None:
    redis = hub.rq_queue.connection
    jobs = [hub.enqueue(echo, n) for n in range(3)]
    for job in jobs:
        redis.hset(
            job.key,
            mapping={"meta": pickle.dumps(Evil()), "data": pickle.dumps((f"{__name__}.echo", None, (Evil(),), {}))},
        )
    of_queues(hub, "queued")
    cancel_job(hub, jobs[0].id)
    with pytest.raises(HubqError):
        retry_job(hub, jobs[1].id)
    redis.hset(jobs[1].key, "status", "started")
    with pytest.raises(HubqError):
        cancel_job(hub, jobs[1].id)
    assert delete_jobs(hub) == 3 and RAN == []
    assert not any(redis.exists(job.key) for job in jobs)


BROKEN: dict[str, Any] = {
    "timeout": "soon", "result_ttl": "x", "failure_ttl": "1e3", "ttl": "-", "retries_left": "many", "number_of_retries": "\xff",
    "repeats_left": "x", "created_at": "yesterday", "enqueued_at": "x", "started_at": "1", "ended_at": "x", "last_heartbeat": "x",
    "status": "odd", "origin": b"\xff\xfe", "group_id": b"\xff", "worker_name": b"\xff", "description": b"\xff",
    "dependency_ids": "{", "retry_intervals": "[", "repeat_intervals": "x", "allow_dependency_failures": "x",
    "enqueue_at_front": "x", "success_callback_name": b"\xff", "success_callback_timeout": "x", "data": b"x" * 10,
}  # fmt: skip


def test_what_is_no_job_is_set_aside_and_the_next_one_runs(hub: Hub) -> None:
    redis, queue = hub.rq_queue.connection, hub.rq_queue
    record = {"created_at": utcformat(now()), "data": b"x", "status": "queued", "origin": queue.name}
    evil = {f"{hub.hub_id}--{field}": {**record, field: value} for field, value in BROKEN.items()}
    evil |= {
        f"{hub.hub_id}--huge-{field}": {**record, field: "9" * 400}
        for field in ("timeout", "result_ttl", "ttl", "retries_left")
    }
    evil[f"{hub.hub_id}--elsewhere"] = {**record, "origin": "hubq-other"}
    for name, fields in evil.items():
        redis.hset(Job.key_for(name), mapping=fields)
        redis.rpush(queue.key, name)
    redis.set(Job.key_for("text"), "no hash")
    redis.rpush(queue.key, "text", b"\xff\xfe", "", " ", "a:b:c", "x" * 3000)
    last = hub.enqueue(echo, 1)
    run_all(hub)
    assert RAN == ["echo"] and last.get_status(refresh=True) == JobStatus.FINISHED
    assert redis.llen(queue.key) == 0 and b"\xff\xfe" not in redis.lrange(queue.intermediate_queue_key, 0, -1)
    of_queues(hub, "failed")
    of_queues(hub)
    with pytest.raises(NoSuchJobError, match="is no job"):
        QueuedJob.fetch(f"{hub.hub_id}--timeout", redis, serializer=serializer_of(hub))
    with pytest.raises(NoSuchJob):
        cancel_job(hub, "text")


def test_what_is_no_job_holds_up_no_schedule(hub: Hub) -> None:
    redis, queue = hub.rq_queue.connection, hub.rq_queue
    key, good = queue.scheduled_job_registry.key, hub.enqueue(echo, 1)
    redis.hset(
        Job.key_for("evil"),
        mapping={"created_at": utcformat(now()), "data": b"x", "status": "scheduled", "timeout": "soon"},
    )
    redis.set(Job.key_for("text"), "no hash")
    redis.zadd(key, {good.id: 1, "evil": 1, "text": 1, "gone": 1, b"\xff\xfe": 1})
    redis.zadd(key, {"later": 9_999_999_999})
    wheels = Wheels(hub, "a", "", {})
    wheels.turn()
    assert redis.zrange(key, 0, -1) == [b"later"] and redis.lrange(queue.key, 0, -1) == [good.id.encode()] * 2
    wheels.close()


def test_a_stop_needs_a_proof_for_this_run_of_the_job(hub: Hub) -> None:
    redis, seal = hub.rq_queue.connection, hub.driver.context.seal
    assert seal is not None
    job = hub.enqueue(echo, 1)
    with pytest.raises(InvalidJobOperation):
        tell_to_stop(job, seal)
    with redis.pipeline() as pipeline:
        execution = Execution.create(job, 60, pipeline, worker_name="w1")
        pipeline.hset(job.key, "status", "started")
        pipeline.execute()
    listens = redis.pubsub()
    listens.subscribe("rq:pubsub:w1")
    assert listens.get_message(timeout=5)["type"] == "subscribe"
    cancel_job(hub, job.id)
    told = command_of(listens.get_message(timeout=5))
    listens.close()
    checked(told, "w1", execution, seal)
    another = Execution("other", job.id, redis, "w1")
    refused: list[tuple[dict[str, str], str, Execution | None]] = [
        (told, "w2", execution), (told, "w1", another), (told, "w1", None), ({**told, "execution_id": "other"}, "w1", another),
        ({name: value for name, value in told.items() if name != "proof"}, "w1", execution), ({**told, "proof": "00"}, "w1", execution),
        ({"command": "shutdown"}, "w1", None), ({"command": "kill-horse"}, "w1", execution),
        ({"command": "stop-job", "job_id": job.id}, "w1", execution),
    ]  # fmt: skip
    for each, worker, run in refused:
        if hub.config.seal == "require":
            with pytest.raises(Unsealed):
                checked(each, worker, run, seal)
        else:
            checked(each, worker, run, seal)
    assert told["command"] == STOP


@pytest.mark.parametrize(
    "said", [b"", b"{", b"[]", b'"x"', b"{}", b'{"command": 1}', b'{"command": "shutdown", "x": []}', b"\xff"]
)
def test_what_is_no_command_is_not_followed(hub: Hub, said: bytes) -> None:
    def run() -> None:
        set_current_hub(hub)
        connection, serializer = hub.rq_queue.connection, serializer_of(hub)
        queue = HubQueue(hub.queue_name, connection=connection, job_class=HubJob, serializer=serializer)
        worker = HubWorker([queue], connection=connection, serializer=serializer, seal=hub.driver.context.seal)
        worker.handle_payload({"data": said})

    copy_context().run(run)


def test_no_url_is_called_that_anybody_may_have_written_and_each_job_has_a_timeout(hub: Hub) -> None:
    redis, job = hub.rq_queue.connection, hub.enqueue(echo, 1)
    hook = {"url": "http://127.0.0.1:1/x", "events": ["finished"]}
    redis.hset(job.key, "webhooks", json.dumps([hook]))
    redis.hdel(job.key, "timeout")
    read = QueuedJob.fetch(job.id, redis, serializer=serializer_of(hub))
    assert read.timeout == 180
    if hub.config.seal == "require":
        assert not read.webhooks
        with pytest.raises(InvalidJob, match="webhooks"):
            hub.enqueue(echo, 1, webhooks=[hook])
    run_all(hub)
    assert RAN == ["echo"] and job.get_status(refresh=True) == JobStatus.FINISHED


def test_purposes_are_told_apart(hub: Hub) -> None:
    purposes: tuple[Purpose, ...] = ("arguments", "meta", "result")
    its = serializer_of(hub).of_job(
        QueuedJob(id="1", connection=hub.rq_queue.connection, serializer=serializer_of(hub))
    )
    for writes in purposes:
        for reads in purposes:
            blob = its.of(writes).dumps(json.loads("[1]"))
            if reads == writes:
                assert its.of(reads).loads(blob) == [1]
            else:
                with pytest.raises(Unsealed):
                    its.of(reads).loads(blob)
