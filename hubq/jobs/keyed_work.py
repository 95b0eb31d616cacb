"""RQ's part in a job of a key: it is kept, counted, run, retried and failed by RQ."""

from __future__ import annotations

import time
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rq import Queue, SimpleWorker
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus
from rq.scripts import save_unique_job
from rq.timeouts import TimerDeathPenalty

from hubq.core.job_names import name_in_rq
from hubq.jobs.hub_job import HubJob, TellsOnce
from hubq.jobs.serializer import serializer_of
from hubq.store.connection import ANSWER_TIMEOUT

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Field of RQ's job hash: when a job of a key is to be tried again, seconds since 1970.
RETRY_AT = "hubq_retry_at"
#: Field of RQ's job hash: the dead letter that its message has become.
CONDEMNED = "hubq_letter"
#: How long a job is kept whose sender was cut off before its message was sent, seconds. (It will never be run. If the sender was
#: cut off just after that, the job is lost if it has not had its turn by then: its `enqueue` never returned.)
CUT_OFF = 7 * 86_400
#: States of a job that has not ended.
ALIVE = (JobStatus.QUEUED, JobStatus.STARTED, JobStatus.SCHEDULED)


class KeyedQueue(Queue):
    """RQ's queue without its list: jobs of a key are kept, counted and retried as all others are, but wait in the mailbox
    of their key.

    ``provisional``: they are kept for ``CUT_OFF`` seconds only, until it is known that their message is sent.
    """

    def __init__(self, *args: Any, provisional: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._provisional = provisional

    def push_job_id(self, job_id: str, pipeline: Any = None, at_front: bool = False) -> Any:
        """Nothing to do: the message to the child brings the job to its turn."""

    def _persist_job(self, job: Job, pipeline: Any, status: JobStatus = JobStatus.QUEUED) -> None:
        super()._persist_job(job, pipeline, status)
        if self._provisional and job.ttl is None:
            pipeline.expire(job.key, CUT_OFF)

    def schedule_job(self, job: Job, datetime: datetime, pipeline: Any = None, unique: bool = False) -> Job:
        """A retry with an interval: the key waits for it, since the jobs behind it must wait."""
        pipe = pipeline if pipeline is not None else self.connection.pipeline()
        self._persist_job(job, pipe, status=JobStatus.SCHEDULED)
        pipe.hset(job.key, RETRY_AT, datetime.timestamp())
        if pipeline is None:
            pipe.execute()
        return job

    def _enqueue_async_job(self, job: Job, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Job:
        if not unique:
            return super()._enqueue_async_job(job, pipeline=pipeline, at_front=at_front)
        self._prepare_for_queue(job)
        saved = copy(job)
        if self._provisional and saved.ttl is None:
            saved.ttl = CUT_OFF
        save_unique_job(self.connection, self.key, saved, enqueue=False)
        return job


class KeyedWorker(TellsOnce, SimpleWorker):
    """Performs jobs of keys, one after another, in its own process."""

    queue_class = KeyedQueue
    job_class = HubJob


class KeyedThread(KeyedWorker):
    """The same in a thread: for hubs on fakeredis, which no other process can reach."""

    death_penalty_class = TimerDeathPenalty


def perform(worker: KeyedWorker, job_id: str) -> float | None:
    """Run a job through RQ. None: it has ended. A number: try it again after so many seconds.

    A job that has ended already is left alone: its node was lost after the job, and before the commit that says so. One
    that is "started" was in hand when its node was lost, or was interrupted by a move: it is run again.
    """
    (queue,) = worker.queues
    try:
        job = worker.job_class.fetch(job_id, connection=worker.connection, serializer=worker.serializer)
    except NoSuchJobError:
        return None  # deleted, or its ttl is over
    status = job.get_status(refresh=False)
    if status == JobStatus.SCHEDULED and (wait := _until_retry(worker, job)) > 0:
        return wait
    if status == JobStatus.FAILED and worker.connection.hdel(job.key, CONDEMNED):
        status = JobStatus.QUEUED  # the letter was sent again
    if status not in ALIVE:
        return None
    forget_executions(job)
    worker.perform_job(job, queue, worker.prepare_execution(job))
    worker.set_state("idle")
    return outcome(worker, job)


def outcome(worker: KeyedWorker, job: Job) -> float | None:
    """Whether a job that was just run, or whose process has died, is to be tried again."""
    try:
        status = job.get_status()
    except InvalidJobOperation:
        return None  # result_ttl=0
    if status == JobStatus.SCHEDULED:
        return max(0.0, _until_retry(worker, job))
    return 0.0 if status == JobStatus.QUEUED else None


def fail(worker: KeyedWorker, job_id: str, why: str) -> float | None:
    """The process of a job has died under it: RQ's failure, with RQ's retries."""
    (queue,) = worker.queues
    try:
        job = worker.job_class.fetch(job_id, connection=worker.connection, serializer=worker.serializer)
    except NoSuchJobError:
        return None
    if job.get_status(refresh=False) == JobStatus.STARTED:
        forget_executions(job)
        worker.handle_job_failure(job, queue=queue, exc_string=why)
    return outcome(worker, job)


def condemn(hub: Hub, job_id: str, letter: str, why: str) -> bool:
    """The message of a job is this dead letter: the job has failed, whatever retries it has left. False: it was known."""
    connection = hub.jobs_server.sync_client(ANSWER_TIMEOUT)
    try:
        queue = KeyedQueue(hub.queue_name, connection=connection, serializer=serializer_of(hub))
        worker = KeyedThread(
            [queue],
            name=name_in_rq(hub.hub_id, f"letter-{letter.replace('/', '-')}"),
            connection=connection,
            serializer=queue.serializer,
        )
        job = HubJob.fetch(job_id, connection=connection, serializer=serializer_of(hub))
        known = connection.hget(job.key, CONDEMNED)
        if known is not None and known.decode() == letter:
            return False
        alive = job.get_status(refresh=False) in ALIVE
        if alive:
            forget_executions(job)
            job.retries_left = None
            worker.handle_job_failure(job, queue=queue, exc_string=why)
            connection.expire(worker.key, 60)  # RQ has counted a failure there
        connection.hset(job.key, CONDEMNED, letter)
        return alive
    except NoSuchJobError:
        return False
    finally:
        connection.close()


def forget_executions(job: Job) -> None:
    """Remove the execution of an interrupted run: RQ would take the job for abandoned later on."""
    with job.connection.pipeline() as pipeline:
        for execution in job.get_executions():
            execution.delete(job=job, pipeline=pipeline)
        pipeline.execute()


def _until_retry(worker: KeyedWorker, job: Job) -> float:
    at = worker.connection.hget(job.key, RETRY_AT)
    return float(at) - time.time() if at else 0.0
