"""What becomes of the job that a job process had in hand when it was killed: its node gives it back.

RQ would find it a minute after its last heartbeat, at the next maintenance, and fail it. The node knows at once.
"""

from __future__ import annotations

import logging
import sys

from rq.exceptions import NoSuchJobError
from rq.job import JobStatus

from hubq.client.hub import Hub
from hubq.jobs.work import HubJob, HubQueue, HubWorker, give_back
from hubq.store.connection import ANSWER_TIMEOUT

log = logging.getLogger("hubq.jobs")

#: A job whose process is killed more often than this has failed.
TRIES = 3
#: Field of RQ's job hash: how often.
KILLED = "hubq_killed"


def reclaim(hub: Hub, worker_name: str) -> None:
    """Give back what this RQ worker, which is dead, had in hand, and strike it off RQ's list."""
    if sys.platform != "linux":
        return  # the job may still be running: elsewhere it does not end with its worker
    connection = hub.server.sync_client(ANSWER_TIMEOUT)
    try:
        worker = HubWorker.find_by_key(HubWorker.redis_worker_namespace_prefix + worker_name, connection=connection)
        if not isinstance(worker, HubWorker):
            return
        queue = HubQueue(hub.queue_name, connection=connection)
        for execution in worker.get_current_executions(refresh=True):
            try:
                job = HubJob.fetch(execution.job_id, connection=connection)
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
