"""The jobs of one hub: what ``hub.enqueue`` and its like do (``hubq.client.faces.jobs.Jobs``)."""

from __future__ import annotations

import os
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rq import Queue, Repeat, Retry
from rq.job import Job

from hubq.client import operations
from hubq.client.asking.forks import renewed_after_fork
from hubq.client.faces.jobs import Prepared, Put
from hubq.client.faces.resumable_jobs import ResumableJob
from hubq.core.job_names import checked_for_jobs, clock_queue_name, queue_name
from hubq.core.spec import ChildSpec
from hubq.errors import ConfigError, NoClock, UnknownChild
from hubq.jobs import effects, resumable
from hubq.jobs.checks import checked_function, checked_key, checked_options, checked_time, own_options, translated
from hubq.jobs.clock import start_clock
from hubq.jobs.cron import CronEntry, enqueue_now, entry_of, start_from_record
from hubq.jobs.keyed import enqueue_keyed
from hubq.jobs.keyed_work import KeyedQueue
from hubq.jobs.names import CLOCK
from hubq.jobs.queued_job import QueuedJob
from hubq.jobs.serializer import checked_registered, path_of, serializer_of
from hubq.store.connection import ANSWER_TIMEOUT
from hubq.store.progress import JOB_FIELD

if TYPE_CHECKING:
    from hubq.client.hub import Hub


class JobsOfHub:
    """Enqueues to the hub's RQ queue. Safe under threads and after fork."""

    def __init__(self, hub: Hub) -> None:
        self.queue_name = queue_name(checked_for_jobs(hub.hub_id))
        self._hub = hub
        self.crons: list[CronEntry] = []
        self._clock_started = False
        self._known: tuple[int, Queue, KeyedQueue] | None = None
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """In a forked process (:mod:`hubq.client.asking.forks`)."""
        self._lock = threading.Lock()

    @property
    def rq_queue(self) -> Queue:
        """The queue, with a connection of its own: RQ reads Redis's answers as redis-py parses them, the hub does not."""
        return self._queues()[1]

    def _queues(self) -> tuple[int, Queue, KeyedQueue]:
        with self._lock:
            if self._known is None or self._known[0] != os.getpid():
                connection = self._hub.jobs_server.sync_client(ANSWER_TIMEOUT)
                serializer = serializer_of(self._hub)
                keyed = KeyedQueue(
                    self.queue_name, connection=connection, job_class=QueuedJob, provisional=True, serializer=serializer
                )
                queue = Queue(self.queue_name, connection=connection, job_class=QueuedJob, serializer=serializer)
                self._known = (os.getpid(), queue, keyed)
            return self._known

    def close(self) -> None:
        """Close the connection; the next job opens a new one."""
        with self._lock:
            if self._known is not None and self._known[0] == os.getpid():
                self._known[1].connection.close()
            self._known = None

    def enqueue(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> QueuedJob | ResumableJob:
        """See :meth:`hubq.Hub.enqueue`."""
        kwargs = _with_own_options(function, kwargs)
        if hasattr(function, "hubq_child_class"):
            job_id = resumable.start(self._hub, function, args, kwargs)
            return ResumableJob(self._hub.driver.of(job_id), job_id)
        checked_registered(self._hub, checked_function(function), kwargs)
        checked_options(kwargs)
        key = kwargs.pop("key", None)
        with translated(self._hub.jobs_server, self._hub.hub_id):
            if _needs_clock(kwargs):
                self.start_clock()
            if key is not None:
                return _as_made(enqueue_keyed(self._hub, self._queues()[2], key, function, args, kwargs))
            return _as_made(self.rq_queue.enqueue(function, *args, **kwargs))

    def enqueue_at(self, when: datetime, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> QueuedJob:
        """See :meth:`hubq.Hub.enqueue_at`."""
        checked_time(when)
        if "key" in kwargs or hasattr(function, "hubq_child_class"):
            checked_key(kwargs["key"]) if "key" in kwargs else resumable.spec_of(
                self._hub, function, args, dict(kwargs)
            )
            checked_registered(self._hub, checked_function(function), kwargs)
            carried = function if self._hub.config.codec == "pickle" else path_of(function)
            return self._clock_job(when, enqueue_now, carried, args, kwargs)
        kwargs = _with_own_options(function, kwargs)
        checked_registered(self._hub, checked_function(function), kwargs)
        checked_options(kwargs)
        self.start_clock()
        with translated(self._hub.jobs_server, self._hub.hub_id):
            return _as_made(self.rq_queue.enqueue_at(when, function, *args, **kwargs))

    def start_child_at(self, when: datetime, spec: ChildSpec) -> Job:
        """See :meth:`hubq.Hub.start_child_at`."""
        record = operations.record_of(spec, self._hub.driver.context.values)
        return self._clock_job(when, start_from_record, spec.child_id, record.written())

    def _clock_job(self, when: datetime, function: Any, *args: Any) -> QueuedJob:
        checked_time(when)
        self.start_clock()
        with translated(self._hub.jobs_server):
            queue = Queue(
                clock_queue_name(self._hub.hub_id),
                connection=self.rq_queue.connection,
                serializer=serializer_of(self._hub),
                job_class=QueuedJob,
            )
            return _as_made(queue.enqueue_at(when, function, args=args, kwargs={}))

    def cron(
        self,
        cron: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None,
        child_id: str | None,
    ) -> None:
        """See :meth:`hubq.Hub.cron`."""
        queue = clock_queue_name(self._hub.hub_id)
        entry = entry_of(self._hub, queue, cron, target, args, kwargs, name=name, child_id=child_id)
        if any(entry.name == other.name for other in self.crons):
            raise ConfigError(
                f"there are two cron entries of the name {entry.name!r}: give one of them another name=..."
            )
        self.crons.append(entry)

    def start_clock(self) -> None:
        """See :meth:`hubq.Hub.start_clock`."""
        if not self._clock_started:
            start_clock(self._hub)
            self._clock_started = True

    def clock(self) -> str:
        """See :meth:`hubq.Hub.clock`."""
        try:
            node = self._hub.where(CLOCK).node
        except UnknownChild:
            node = None
        nodes = {each.name for each in self._hub.nodes() if each.lease > 0}
        if node is None or node not in nodes:
            waiting = len(self.rq_queue.scheduled_job_registry)
            raise NoClock(
                f"nobody runs the clock of hub {self._hub.hub_id!r} ({waiting} scheduled jobs wait): start a worker that "
                "hosts children (hubq worker without --jobs-only)"
            )
        return node

    def prepared(
        self, job_id: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Prepared | ChildSpec:
        """See :meth:`hubq.Child.enqueue`: a job that is checked, and leaves with a commit. A resumable one is a child."""
        return effects.prepared(self._hub, self.rq_queue, job_id, function, args, kwargs)

    def put(self, shard: int) -> Put:
        """Put the next jobs that children of a shard have enqueued into RQ."""
        _, queue, keyed = self._queues()
        lasting = KeyedQueue(
            keyed.name, connection=keyed.connection, job_class=QueuedJob, serializer=serializer_of(self._hub)
        )
        return effects.put(self._hub, queue, lasting, shard, self.start_clock)

    def told(self, job_id: str) -> tuple[bool, bytes | None]:
        """Whether RQ knows a job, and what it has told of its progress."""
        with translated(self._hub.jobs_server), self.rq_queue.connection.pipeline(transaction=False) as pipe:
            pipe.exists(Job.key_for(job_id))
            pipe.hget(Job.key_for(job_id), JOB_FIELD)
            known, line = pipe.execute()
        return bool(known), line

    def make_resumable(self, function: Any) -> None:
        """``@hub.job(resumable=True)``."""
        resumable.make_resumable(self._hub, function)


def _as_made(job: Job) -> QueuedJob:
    assert isinstance(job, QueuedJob), "the queue was made for these"
    return job


def _with_own_options(function: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The options of ``@hub.job(...)``, overridden by those of this call."""
    return {**own_options(function), **kwargs}


def _needs_clock(kwargs: dict[str, Any]) -> bool:
    """A retry or repetition after an interval is a scheduled job."""
    given: tuple[Retry | Repeat | None, ...] = (kwargs.get("retry"), kwargs.get("repeat"))
    return any(each is not None and any(each.intervals) for each in given)
