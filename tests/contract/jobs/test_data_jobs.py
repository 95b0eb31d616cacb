"""Jobs of a hub with ``codec="data"``: registered functions only, typed arguments, and no pickle anywhere."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import rq
from rq.job import Job, JobStatus
from rq.results import Result

from hubq import ConfigError, Hub, InvalidJob, NotImportable
from hubq.errors import NotSendable, Unsealed
from hubq.jobs.overview import of_queues
from hubq.jobs.queued_job import QueuedJob
from hubq.jobs.serializer import serializer_of
from hubq.store.keyring import new_keys
from tests.contract.jobs.burst import run_all

RAN: list[Any] = []


class Evil:
    def __reduce__(self) -> Any:
        return (RAN.append, ("code ran",))


@dataclass
class Mail:
    to: str
    at: datetime


def send(mail: Mail, times: int = 1) -> Mail:
    RAN.append((mail, times))
    return mail


def other() -> None:
    RAN.append("other")


NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    RAN.clear()
    hub = make_hub(codec="data")
    hub.register_job(send)
    return hub


def test_a_registered_function_gets_its_arguments_as_annotated(hub: Hub) -> None:
    job = hub.enqueue(send, Mail("ann", NOW), times=2)
    assert job.data[:1] == b"m"
    run_all(hub)
    assert [(Mail("ann", NOW), 2)] == RAN
    assert job.return_value(refresh=True) == {"to": "ann", "at": NOW}
    wrong = hub.enqueue(send, "ann")
    run_all(hub)
    assert wrong.get_status() == JobStatus.FAILED and "argument 'mail'" in str(wrong.latest_result().exc_string)


def of_evil(evil: Evil) -> None: ...


async def resumes(ctx: Evil, times: int) -> int:
    return times


def gives_evil() -> list[Evil]:
    return []


def test_a_job_with_an_annotation_that_cannot_be_converted_is_refused_where_it_is_registered(
    hub: Hub, make_hub: Callable[..., Hub]
) -> None:
    with pytest.raises(ConfigError, match=r"of_evil\(evil\): the annotation Evil cannot be converted"):
        hub.job(of_evil)
    with pytest.raises(ConfigError, match="gives_evil, what it returns: the annotation"):
        hub.register_job(gives_evil)
    assert [path.rpartition(".")[2] for path in hub.job_functions] == ["send"]
    hub.job(resumable=True)(resumes)
    make_hub().register_job(of_evil)  # a pickle may be of any class


def test_what_cannot_be_a_job_is_refused_where_it_is_enqueued(hub: Hub) -> None:
    with pytest.raises(NotImportable, match=r"test_data_jobs\.other is not registered"):
        hub.enqueue(other)
    with pytest.raises(NotSendable, match="Evil"):
        hub.enqueue(send, Evil())
    with pytest.raises(InvalidJob, match="on_success"):
        hub.enqueue(send, Mail("ann", NOW), on_success=rq.Callback(print))


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", f"{__name__}.other", "hubq.cli.main.main"])
def test_no_function_runs_that_is_not_registered(hub: Hub, name: str) -> None:
    queue = hub.rq_queue
    job = queue.enqueue_call(name, args=("true",))  # as somebody does who can write to Redis
    run_all(hub)
    assert job.get_status() == JobStatus.FAILED and RAN == []
    assert "is not registered" in str(job.latest_result().exc_string)


def test_no_pickle_is_read_and_no_callback_runs(hub: Hub) -> None:
    plain = rq.Queue(hub.queue_name, connection=hub.rq_queue.connection)
    pickled = plain.enqueue(send, Evil(), job_id="pickled")
    with_callback = hub.enqueue(send, Mail("ann", NOW), job_id="callback")
    redis = hub.rq_queue.connection
    for field in ("success_callback_name", "failure_callback_name", "stopped_callback_name"):
        redis.hset(with_callback.key, field, f"{__name__}.other")
    evil_meta = hub.enqueue(send, Mail("bob", NOW), job_id="meta")
    redis.hset(evil_meta.key, "meta", pickle.dumps(Evil()))
    run_all(hub)
    assert (pickled.get_status(), with_callback.get_status()) == (JobStatus.FAILED, JobStatus.FAILED)
    assert [ran for ran in RAN if ran == "other" or ran == "code ran"] == []


def test_while_a_hub_is_switched_old_jobs_are_run(make_hub: Callable[..., Hub]) -> None:
    RAN.clear()
    hub = make_hub(codec="data", reads_pickles=True)
    hub.register_job(send)
    old = rq.Queue(hub.queue_name, connection=hub.rq_queue.connection).enqueue(send, Mail("ann", NOW))
    run_all(hub)
    assert [(Mail("ann", NOW), 1)] == RAN and old.get_status() == JobStatus.FINISHED


@pytest.fixture(params=["encrypt", "sign"])
def sealed(make_hub: Callable[..., Hub], request: pytest.FixtureRequest) -> Hub:
    RAN.clear()
    hub = make_hub(codec="data", seal="require", keys=new_keys(), seal_form=request.param)
    hub.register_job(send)
    return hub


def test_a_sealed_job_is_run_and_its_result_and_meta_are_read(sealed: Hub) -> None:
    job = sealed.enqueue(send, Mail("ann", NOW), meta={"for": "bob"})
    assert job.data[:1] == {"encrypt": b"x", "sign": b"s"}[sealed.config.seal_form]
    run_all(sealed)
    assert [(Mail("ann", NOW), 1)] == RAN
    assert job.return_value(refresh=True) == {"to": "ann", "at": NOW}
    assert job.get_meta(refresh=True) == {"for": "bob"}
    assert [line.function for line in of_queues(sealed, "finished").jobs] == [f"{__name__}.send"]


def test_a_sealed_job_that_is_moved_to_another_id_is_refused(sealed: Hub) -> None:
    redis = sealed.rq_queue.connection
    first, second = (sealed.enqueue(send, Mail(who, NOW)) for who in ("ann", "bob"))
    redis.hset(second.key, "data", redis.hget(first.key, "data"))
    copied = Job.key_for(f"{first.id}-copy")
    redis.hset(copied, mapping=redis.hgetall(first.key))
    redis.rpush(sealed.rq_queue.key, f"{first.id}-copy")
    run_all(sealed)
    assert [(Mail("ann", NOW), 1)] == RAN
    assert second.get_status() == JobStatus.FAILED and redis.hget(copied, "status") == b"failed"


def test_the_result_of_a_job_is_not_that_of_another(sealed: Hub) -> None:
    redis = sealed.rq_queue.connection
    first, second = (sealed.enqueue(send, Mail(who, NOW)) for who in ("ann", "bob"))
    run_all(sealed)
    ((_, fields),) = redis.xrange(Result.get_key(first.id))
    redis.xadd(Result.get_key(second.id), fields)
    assert first.return_value(refresh=True) == {"to": "ann", "at": NOW}
    with pytest.raises(Unsealed):
        second.return_value(refresh=True)


def test_a_job_of_a_plain_queue_of_rq_is_bound_to_no_id_and_not_run(sealed: Hub) -> None:
    queue = rq.Queue(sealed.queue_name, connection=sealed.rq_queue.connection, serializer=serializer_of(sealed))
    plain = queue.enqueue(send, Mail("ann", NOW))
    named = rq.Queue(
        sealed.queue_name, connection=sealed.rq_queue.connection, serializer=serializer_of(sealed), job_class=QueuedJob
    ).enqueue(send, Mail("bob", NOW))
    run_all(sealed)
    assert (plain.get_status(), named.get_status()) == (JobStatus.FAILED, JobStatus.FINISHED)
    assert [(Mail("bob", NOW), 1)] == RAN
