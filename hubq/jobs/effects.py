"""Jobs that children enqueue as an effect of a message: made ready for the commit, and put into RQ after it (docs/effects.md).

Taking a job out of the stream of its shard and enqueuing it is one transaction of Redis. So it happens once, whoever does it, and
however often it is tried.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from rq import Queue
from rq.job import Job, JobStatus

from hubq.client import operations
from hubq.client.faces.jobs import Prepared, Put
from hubq.core.hashing import shard_of
from hubq.core.malformed import reason
from hubq.core.spec import ChildSpec
from hubq.errors import InvalidJob
from hubq.jobs import resumable
from hubq.jobs.checks import checked_function, checked_key, checked_options, own_options, translated
from hubq.jobs.keyed import CONTRADICT, HubqKeyedJobs
from hubq.jobs.keyed_work import KeyedQueue
from hubq.jobs.names import PREFIX, RUN_JOB
from hubq.jobs.serializer import checked_registered
from hubq.store.connection import OVERTAKEN
from hubq.store.waiting_jobs import JobRecord, WaitingJob, read_waiting

if TYPE_CHECKING:
    from hubq.client.hub import Hub

log = logging.getLogger("hubq.jobs")

#: Most jobs that one transaction enqueues: a few milliseconds of Redis's time.
AT_ONCE = 50
#: The mark of the last job that was put into RQ is kept so long, ms. (Whoever has read it before begins anew when it goes.)
MARK_KEPT = 3_600_000
#: Options that an effect cannot have, and why.
NOT_HERE = {
    "pipeline": "the job leaves with the commit",
    "rate_limit": "RQ cannot enqueue such a job in one transaction",
}


class Transaction(Protocol):
    """redis-py's pipeline, as far as it is needed here: what comes before ``multi`` is done at once."""

    def watch(self, *names: str) -> object: ...

    def exists(self, *names: str) -> object: ...

    def xadd(self, name: str, fields: dict[str, str | int | bytes]) -> object: ...

    def hincrby(self, name: str, field: str, amount: int) -> object: ...


# -- in the handler ----------------------------------------------------------------------------------------------------


def prepared(
    hub: Hub, queue: Queue, job_id: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Prepared | ChildSpec:
    """A checked job of this id, if its options give it no other one; a resumable job is a child to start.

    Raises :class:`~hubq.errors.NotImportable`, :class:`~hubq.errors.InvalidJob`, :class:`~hubq.errors.InvalidKey`,
    :class:`~hubq.errors.NotSendable`.
    """
    kwargs = {**own_options(function), **kwargs}
    if hasattr(function, "hubq_child_class"):
        for name in ("job_id", "unique"):
            if kwargs.pop(name, None):
                raise InvalidJob(f"self.enqueue of a resumable job has no {name}: it gets an id of its own")
        spec, _ = resumable.spec_of(hub, function, args, {**kwargs, "job_id": job_id})
        return spec
    checked_registered(hub, checked_function(function), kwargs)
    checked_options(kwargs)
    for name, why in NOT_HERE.items():
        if kwargs.get(name) is not None:
            raise InvalidJob(f"self.enqueue has no {name}={kwargs[name]!r}: {why}")
    key = kwargs.pop("key", None)
    if key is not None:
        checked_key(key)
        for name in CONTRADICT:
            if kwargs.get(name):
                raise InvalidJob(f"key={key!r} and {name}={kwargs[name]!r} contradict each other: leave one out")
    with translated(hub.jobs_server):
        given = Queue.parse_args(function, *args, **kwargs)
        if given.unique and given.job_id is None:
            raise InvalidJob("unique=True wants a job_id: give the id that must be the only one")
        if given.unique and given.depends_on:
            raise InvalidJob("unique=True and depends_on contradict each other: leave one out")
        options = {
            name: value for name, value in given._asdict().items() if name not in ("at_front", "unique", "pipeline")
        }
        job = queue.create_job(**{**options, "job_id": given.job_id or job_id, "status": JobStatus.QUEUED})
    hub.driver.context.values.encode_arguments(
        tuple(job.args), job.kwargs, f"job {job.id}"
    )  # says what cannot be pickled; RQ's error names nothing
    record = JobRecord(_as_bytes(job.to_dict()), bool(given.at_front), bool(given.unique))
    return Prepared(job.id, key or "", record.written())


def _as_bytes(fields: dict[str, Any]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, value in fields.items():
        plain = value.value if isinstance(value, Enum) else value
        found[name] = plain if isinstance(plain, bytes) else str(plain).encode()
    return found


# -- after the commit --------------------------------------------------------------------------------------------------


def put(hub: Hub, queue: Queue, keyed: KeyedQueue, shard: int, start_clock: Callable[[], None]) -> Put:
    """Put the next jobs of a shard into RQ, in order. ``start_clock``: for those that RQ will schedule.

    Raises :class:`~hubq.errors.RedisUnavailable`, :class:`~hubq.errors.RedisRefused`: try again later.
    """
    stream, mark = hub.keys.jobs(shard), hub.keys.jobs_put(shard)
    malformed: list[tuple[str, str]] = []
    has_keyed = False
    with translated(hub.server), transaction(queue) as pipe:
        # Whoever takes jobs sets the mark. So if another one does meanwhile, nothing of this transaction happens.
        pipe.watch(mark)
        entries: Sequence[Any] = pipe.xrange(stream, count=AT_ONCE)
        if not entries:
            tidy(hub, queue, shard)
            return Put([], False, False)
        pipe.llen(
            queue.key
        )  # refused if it is no list: within a transaction Redis would do all but that, and the job be lost
        taken: list[bytes] = []
        for entry, fields in entries:
            try:
                waiting = read_waiting([part for pair in fields.items() for part in pair])
                job = restored(queue, waiting)
            except Exception as error:
                malformed.append((f"entry {entry.decode()} of {stream}", reason(error)))
                taken.append(entry)
                continue
            if needs_clock(waiting.record.fields):
                start_clock()
            looks_up = bool(job._dependency_ids) or waiting.record.unique
            if looks_up and pipe.explicit_transaction:
                break  # it comes first in the next transaction: nothing can be looked up within one
            if waiting.record.unique and _known(pipe, job):
                log.info("job %s of child %s exists already: it is not enqueued", job.id, waiting.sender)
            elif waiting.key:
                keyed.enqueue_job(job, pipeline=pipe)
                send_on(hub, pipe, shard, waiting)
                has_keyed = True
            else:
                queue.enqueue_job(job, pipeline=pipe, at_front=waiting.record.at_front)
            taken.append(entry)
            if looks_up:
                break
        if not pipe.explicit_transaction:
            pipe.multi()
        pipe.xdel(stream, *taken)
        pipe.set(mark, taken[-1], px=MARK_KEPT)
        with contextlib.suppress(OVERTAKEN):
            pipe.execute()
    return Put(malformed, has_keyed, True)


def tidy(hub: Hub, queue: Queue, shard: int) -> None:
    """Delete the stream of a shard if nothing is in it. (Redis keeps empty streams.)"""
    stream = hub.keys.jobs(shard)
    with translated(hub.server), transaction(queue) as pipe, contextlib.suppress(OVERTAKEN):
        pipe.watch(stream)
        if not pipe.xlen(stream):
            pipe.multi()
            pipe.delete(stream)
            pipe.execute()


def transaction(queue: Queue) -> Any:
    """A transaction of redis-py in RQ's Redis."""
    return queue.connection.pipeline()


def restored(queue: Queue, waiting: WaitingJob) -> Job:
    """RQ's job. Raises whatever RQ raises for one that it has not written."""
    job = Job(id=waiting.job_id, connection=queue.connection, serializer=queue.serializer)
    job.restore({name.encode(): value for name, value in waiting.record.fields.items()})
    if job.has_rate_limit:
        raise ValueError("it has a rate limit")
    return job


def _known(pipe: Transaction, job: Job) -> bool:
    pipe.watch(job.key)
    return bool(pipe.exists(job.key))


def send_on(hub: Hub, pipe: Transaction, shard: int, waiting: WaitingJob) -> None:
    """The message to the child of the key goes into the outbox of this shard, as that of any child does."""
    child, values = PREFIX + waiting.key, hub.driver.context.values
    record = operations.record_of(ChildSpec(child, HubqKeyedJobs, metadata={"key": waiting.key}), values)
    outbox, held = hub.keys.outbox_keys(shard)
    message: dict[str, str | int | bytes] = {
        "shard": shard_of(child, hub.config.shards),
        "sender": waiting.sender,
        "child": child,
        "method": RUN_JOB,
        "payload": values.encode_arguments((waiting.job_id,), {}, f"job {waiting.job_id}"),
        "spec": record.started_by(f"{waiting.job_id}#0:1").written(),
    }
    pipe.xadd(outbox, message)
    pipe.hincrby(held, child, 1)


def needs_clock(fields: dict[str, bytes]) -> bool:
    """Whether RQ will schedule the job: a retry or a repetition after an interval."""
    given = (fields.get("retry_intervals"), fields.get("repeat_intervals"))
    return any(any(json.loads(each)) for each in given if each)
