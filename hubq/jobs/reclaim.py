"""A job process was killed with a job in hand: its node gives the job back.

RQ would find it a minute after its last heartbeat, at the next maintenance, and fail it. The node knows at once.
"""

from __future__ import annotations

import logging
import sys

from rq.exceptions import NoSuchJobError
from rq.job import JobStatus

from hubq.client.hub import Hub
from hubq.jobs.hub_job import HubJob
from hubq.jobs.hub_queue import HubQueue
from hubq.jobs.serializer import serializer_of
from hubq.jobs.work import HubWorker, give_back
from hubq.store.connection import ANSWER_TIMEOUT

log = logging.getLogger("hubq.jobs")

#: A job whose process is killed more often than this has failed.
TRIES = 3
#: Field of RQ's job hash: how often.
KILLED = "hubq_killed"


#: How long a job may be taken from the queue and not begun, seconds. A live worker needs milliseconds.
LIMBO = 5.0


def taken(hub: Hub) -> list[str]:
    """The jobs that a worker has just taken from the queue (RQ's intermediate queue). Perhaps they are not begun."""
    connection = hub.jobs_server.sync_client(ANSWER_TIMEOUT)
    try:
        return HubQueue(
            hub.queue_name, connection=connection, serializer=serializer_of(hub)
        ).intermediate_queue.get_job_ids()
    finally:
        connection.close()


def give_back_taken(hub: Hub, job_ids: list[str]) -> None:
    """Give back the jobs among these that are not begun ``LIMBO`` seconds later: their worker was killed in that moment."""
    connection = hub.jobs_server.sync_client(ANSWER_TIMEOUT)
    try:
        queue = HubQueue(hub.queue_name, connection=connection, serializer=serializer_of(hub))
        for job_id in job_ids:
            try:
                job = HubJob.fetch(job_id, connection=connection, serializer=serializer_of(hub))
            except NoSuchJobError:
                continue
            if job.get_executions() or not connection.lrem(queue.intermediate_queue_key, 1, job_id):
                continue  # it runs, has run, or another node was quicker
            log.warning(
                "job %s goes back to the front of %s: its worker was killed before it began", job_id, queue.name
            )
            queue._enqueue_job(job, at_front=True)
    finally:
        connection.close()


def reclaim(hub: Hub, worker_name: str) -> None:
    """Give back the job that this dead RQ worker had in hand, and remove the worker from RQ's list."""
    if sys.platform != "linux":
        return  # the job may still be running: elsewhere it does not end with its worker
    connection = hub.jobs_server.sync_client(ANSWER_TIMEOUT)
    try:
        worker = HubWorker.find_by_key(
            HubWorker.redis_worker_namespace_prefix + worker_name, connection=connection, serializer=serializer_of(hub)
        )
        if not isinstance(worker, HubWorker):
            return
        queue = HubQueue(hub.queue_name, connection=connection, serializer=serializer_of(hub))
        for execution in worker.get_current_executions(refresh=True):
            try:
                job = HubJob.fetch(execution.job_id, connection=connection, serializer=serializer_of(hub))
            except NoSuchJobError:
                continue
            if job.get_status(refresh=False) not in (JobStatus.STARTED, JobStatus.QUEUED):
                continue
            if connection.hincrby(job.key, KILLED, 1) < TRIES:
                give_back(worker, job, queue, execution)
            else:
                why = f"The worker that ran the job was killed, {TRIES} times"
                log.error("job %s has failed: %s", job.id, why)
                worker.handle_job_failure(job, queue, exc_string=why, execution=execution)
        worker.register_death()  # type: ignore[no-untyped-call]
    finally:
        connection.close()
