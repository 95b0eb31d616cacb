"""What is done to a job by hand: run again, canceled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, JobStatus

from hubq.core.job_names import clock_queue_name
from hubq.errors import InvalidChildId, InvalidJob, NoSuchJob, UnknownChild
from hubq.jobs.checks import translated
from hubq.jobs.commands import tell_to_stop
from hubq.jobs.names import MARK
from hubq.jobs.queued_job import QueuedJob

if TYPE_CHECKING:
    from hubq.client.hub import Hub


def retry_job(hub: Hub, job_id: str) -> str:
    """Put a job of RQ that has failed into its queue again. The answer: what was done, in a line.

    Raises :class:`~hubq.errors.NoSuchJob`, :class:`~hubq.errors.InvalidJob` (it has not failed),
    :class:`~hubq.errors.RedisUnavailable`.
    """
    with translated(hub.jobs_server):
        job = _job(hub, job_id)
        try:
            job.requeue()
        except InvalidJobOperation:
            raise InvalidJob(f"job {job_id!r} is {_status(job)}: only a job that has failed can be run again") from None
    return f"{job_id} is queued again"


def cancel_job(hub: Hub, job_id: str) -> str:
    """Cancel a job: one of RQ that waits, is scheduled, or runs; or a resumable one. The answer: what was done, in a line.

    Raises :class:`~hubq.errors.NoSuchJob`, :class:`~hubq.errors.InvalidJob` (it has ended already),
    :class:`~hubq.errors.RedisUnavailable`.
    """
    with translated(hub.jobs_server):
        try:
            job = _job(hub, job_id)
        except NoSuchJob:
            return _cancel_resumable(hub, job_id)
        status = job.get_status(refresh=True)
        if status == JobStatus.STARTED:
            try:
                tell_to_stop(job, hub.driver.context.seal)
            except InvalidJobOperation:
                raise InvalidJob(
                    f"job {job_id!r} is started, and no worker has it in hand: its worker was lost"
                ) from None
            return f"{job_id} is told to stop"
        if status in (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.CANCELED, JobStatus.STOPPED):
            raise InvalidJob(f"job {job_id!r} is {_status(job)}: it cannot be canceled any more")
        job.cancel()
    return f"{job_id} is canceled"


def _cancel_resumable(hub: Hub, job_id: str) -> str:
    try:
        resumable = hub.child_lookup(job_id).metadata.get(MARK[0]) == MARK[1]
    except (UnknownChild, InvalidChildId):
        resumable = False
    if not resumable or not hub.resumable_job(job_id).cancel():
        raise NoSuchJob(f"no job {job_id!r} waits or runs in hub {hub.hub_id!r}: see `hubq jobs`")
    return f"{job_id} is told to end"


def _job(hub: Hub, job_id: str) -> Job:
    queue = hub.rq_queue
    try:
        job = QueuedJob.fetch(job_id, queue.connection, serializer=queue.serializer)
    except NoSuchJobError:  # (RQ takes fewer characters than a child may have in its name)
        raise NoSuchJob(f"no job {job_id!r} in hub {hub.hub_id!r}: see `hubq jobs`") from None
    if job.origin not in (queue.name, clock_queue_name(hub.hub_id)):
        raise NoSuchJob(f"job {job_id!r} is one of queue {job.origin!r}, not of hub {hub.hub_id!r}")
    return job


def _status(job: Job) -> str:
    status = job.get_status(refresh=False)
    return status.value if status is not None else "unknown"
