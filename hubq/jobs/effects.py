"""Jobs that children enqueue as an effect of a message: made ready for the commit, and put into RQ after it (docs/effects.md).

A job is put into RQ in one transaction with a mark that says how far the stream of its shard has been put there. So it happens once,
whoever does it, and however often it is tried; also if RQ has a Redis of its own (``jobs_redis``). Then its entry is deleted.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol, cast

from rq import Queue
from rq.job import Job, JobStatus

from hubq.client import operations
from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_shard
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.faces.jobs import Prepared, Put
from hubq.core.hashing import shard_of
from hubq.core.job_names import id_prefix, put_mark
from hubq.core.malformed import reason
from hubq.core.spec import ChildSpec
from hubq.errors import InvalidJob, RedisRefused
from hubq.jobs import resumable
from hubq.jobs.checks import checked_function, checked_key, checked_options, own_options, translated
from hubq.jobs.keyed import CONTRADICT, HubqKeyedJobs
from hubq.jobs.keyed_work import KeyedQueue
from hubq.jobs.names import PREFIX, RUN_JOB
from hubq.jobs.serializer import checked_registered
from hubq.store.connection import NOT_ALLOWED, OVERTAKEN
from hubq.store.waiting_jobs import JobRecord, OutboxMessage, WaitingJob, read_jobs, read_waiting, take_jobs

if TYPE_CHECKING:
    from hubq.client.hub import Hub

log = logging.getLogger("hubq.jobs")

#: Most jobs that one transaction enqueues: a few milliseconds of Redis's time.
AT_ONCE = 50
#: Options that an effect cannot have, and why.
NOT_HERE = {
    "pipeline": "the job leaves with the commit",
    "rate_limit": "RQ cannot enqueue such a job in one transaction",
}


class Transaction(Protocol):
    """redis-py's pipeline, as far as it is needed here: what comes before ``multi`` is done at once."""

    def watch(self, *names: str) -> object: ...

    def exists(self, *names: str) -> object: ...

    def llen(self, name: str) -> object: ...

    @property
    def explicit_transaction(self) -> bool: ...


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
    try:
        return _put(hub, queue, _Part(hub, queue, keyed, shard), start_clock)
    except RedisRefused as error:
        if not isinstance(error.__cause__, NOT_ALLOWED):
            raise
        # Its user of Redis reaches the jobs of this hub alone. One of another name would be in the way of all that come after it.
        return _put(hub, queue, _Part(hub, queue, keyed, shard, own_ids=True), start_clock)


def _put(hub: Hub, queue: Queue, part: _Part, start_clock: Callable[[], None]) -> Put:
    shard = part.shard
    mark = put_mark(hub.hub_id, shard)
    with translated(hub.jobs_server), _transaction(queue) as pipe:
        # Whoever puts jobs sets the mark. So if another one does meanwhile, nothing of this transaction happens.
        pipe.watch(mark)
        last = _place(pipe.get(mark) or b"0-0")
        entries = hub.driver.drive(_next(hub.driver.context, shard))
        for entry, fields in entries:
            if not part.enqueue(pipe, entry, fields, known=_place(entry.encode()) <= last, start_clock=start_clock):
                break
        if part.last:
            if not pipe.explicit_transaction:
                pipe.multi()
            pipe.set(mark, part.last)
            try:
                pipe.execute()
            except OVERTAKEN:
                return Put([], False, True)
    if part.taken and not hub.driver.drive(delete_put(hub.driver.context, shard, part.taken)):
        _forget(hub, queue, mark, list(part.taken)[-1])
    return Put(part.malformed, part.has_keyed, bool(entries))


class _Part:
    """Jobs that one transaction puts into RQ."""

    def __init__(self, hub: Hub, queue: Queue, keyed: KeyedQueue, shard: int, *, own_ids: bool = False) -> None:
        """``own_ids``: a job whose id does not begin with the hub's name is not put into RQ, and is told of as malformed."""
        self.taken: dict[str, OutboxMessage | None] = {}
        self.malformed: list[tuple[str, str]] = []
        self.has_keyed = False
        self.last = ""
        """The last one that is put by this transaction; empty: there is none."""
        self._hub = hub
        self._queue = queue
        self._keyed = keyed
        self.shard = shard
        self._prefix = id_prefix(hub.hub_id) if own_ids else ""
        self._place = hub.driver.context.of_shard(shard).keys.jobs(shard)

    def enqueue(
        self, pipe: Transaction, entry: str, fields: Sequence[bytes], *, known: bool, start_clock: Callable[[], None]
    ) -> bool:
        """Take one more. ``known``: it is in RQ already, and only has to be deleted. False: this transaction takes no more."""
        try:
            waiting = read_waiting(fields)
            job = _restored(self._queue, waiting)
            others = [name for name in (job.id, *job._dependency_ids) if not name.startswith(self._prefix)]
            if others:
                raise ValueError(
                    f"this user of Redis reaches only jobs whose id begins with {self._prefix!r}, not {others[0]!r}"
                )
        except Exception as error:
            self.malformed.append((f"entry {entry} of {self._place}", reason(error)))
            self.taken[entry] = None
            return True
        looks_up = bool(job._dependency_ids) or waiting.record.unique
        if not known:
            if looks_up and pipe.explicit_transaction:
                return False  # it comes first in the next transaction: nothing can be looked up within one
            if needs_clock(waiting.record.fields):
                start_clock()
            if not self.last:
                pipe.llen(
                    self._queue.key
                )  # refused if it is no list: a transaction would do all but that, and the job be lost
            if waiting.record.unique and _exists(pipe, job):
                log.info("job %s of child %s exists already: it is not enqueued", job.id, waiting.sender)
                self.taken[entry], self.last = None, entry
                return False
            if waiting.key:
                self._keyed.enqueue_job(job, pipeline=cast(Any, pipe))
            else:
                self._queue.enqueue_job(job, pipeline=cast(Any, pipe), at_front=waiting.record.at_front)
            self.last = entry
        self.taken[entry] = _message(self._hub, self.shard, waiting) if waiting.key else None
        self.has_keyed |= bool(waiting.key)
        return known or not looks_up


@of_shard
def _next(hub: HubContext, shard: int) -> Operation[list[tuple[str, Sequence[bytes]]]]:
    (entries,) = yield Fetch([read_jobs(hub.keys, shard, AT_ONCE)])
    found: list[tuple[str, Sequence[bytes]]] = entries
    return found


@of_shard
def delete_put(hub: HubContext, shard: int, taken: Mapping[str, OutboxMessage | None]) -> Operation[int]:
    """Delete the entries of jobs that are in RQ by now. How many are left in the stream."""
    (left,) = yield Fetch([take_jobs(hub.keys, shard, taken)])
    return int(left)


def _forget(hub: Hub, queue: Queue, mark: str, last: str) -> None:
    """All jobs up to the mark are deleted: nobody needs it any more, unless another one has set it meanwhile."""
    with translated(hub.jobs_server), _transaction(queue) as pipe, contextlib.suppress(OVERTAKEN):
        pipe.watch(mark)
        if _place(pipe.get(mark) or b"0-0") <= _place(last.encode()):
            pipe.multi()
            pipe.delete(mark)
            pipe.execute()


def _place(entry: bytes) -> tuple[int, int]:
    ms, _, number = entry.partition(b"-")
    return int(ms), int(number or 0)


def _transaction(queue: Queue) -> Any:
    return queue.connection.pipeline()


def _restored(queue: Queue, waiting: WaitingJob) -> Job:
    job = queue.job_class(id=waiting.job_id, connection=queue.connection, serializer=queue.serializer)
    job.restore({name.encode(): value for name, value in waiting.record.fields.items()})
    if job.has_rate_limit:
        raise ValueError("it has a rate limit")
    return job


def _exists(pipe: Transaction, job: Job) -> bool:
    pipe.watch(job.key)
    return bool(pipe.exists(job.key))


def _message(hub: Hub, shard: int, waiting: WaitingJob) -> OutboxMessage:
    """The message to the child of the key goes into the outbox of this shard, as that of any child does."""
    child, context = PREFIX + waiting.key, hub.driver.context
    record = operations.record_of(ChildSpec(child, HubqKeyedJobs, metadata={"key": waiting.key}), context.values)
    record = record.started_by(f"{waiting.job_id}#0:1")
    payload = context.values.encode_arguments((waiting.job_id,), {}, f"job {waiting.job_id}")
    if (seal := context.seal) is not None:
        record = seal.spec(child, record)
        payload = seal.message("cast", child, RUN_JOB, f"child {waiting.sender}", "0", payload)
    target = shard_of(child, hub.config.shards)
    message = OutboxMessage(target, waiting.sender, child, RUN_JOB, payload, record.written())
    there = context.of_shard(target).group
    if there == context.of_shard(shard).group:
        return message
    return message._replace(far=there, generation=secrets.token_hex(8))


def needs_clock(fields: dict[str, bytes]) -> bool:
    """Whether RQ will schedule the job: a retry or a repetition after an interval."""
    given = (fields.get("retry_intervals"), fields.get("repeat_intervals"))
    return any(any(json.loads(each)) for each in given if each)
