"""Deleting the jobs of a hub: RQ keeps them in keys of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rq import Queue, Worker

from hubq.core.job_names import clock_queue_name, queue_name
from hubq.errors import HubqError
from hubq.jobs.checks import translated
from hubq.jobs.queued_job import QueuedJob

if TYPE_CHECKING:
    from hubq.client.hub import Hub


def delete_jobs(hub: Hub) -> int:
    """Delete the jobs of a hub, in whatever state they are; how many there were.

    Raises :class:`~hubq.errors.HubqError` while RQ workers serve its queue, :class:`~hubq.errors.RedisUnavailable`.
    """
    with translated(hub.jobs_server):
        connection = hub.rq_queue.connection
        serializer = hub.rq_queue.serializer
        queues = [
            Queue(name(hub.hub_id), connection=connection, job_class=QueuedJob, serializer=serializer)
            for name in (queue_name, clock_queue_name)
        ]
        if workers := [worker.name for queue in queues for worker in Worker.all(queue=queue)]:
            raise HubqError(f"RQ workers serve the jobs of hub {hub.hub_id!r}: end {', '.join(workers[:5])} first")
        return sum(map(_emptied, queues))


def _emptied(queue: Queue) -> int:
    registries = (
        queue.started_job_registry, queue.scheduled_job_registry, queue.deferred_job_registry, queue.failed_job_registry,
        queue.finished_job_registry, queue.canceled_job_registry,
    )  # fmt: skip
    names = {*queue.get_job_ids(), *(name for each in registries for name in each.get_job_ids(cleanup=False))}
    for name, job in zip(
        sorted(names),
        QueuedJob.fetch_many(sorted(names), connection=queue.connection, serializer=queue.serializer),
        strict=True,
    ):
        if job is not None:
            job.delete()
        else:
            queue.connection.delete(QueuedJob.key_for(name))
    queue.delete()
    queue.connection.delete(*(each.key for each in registries), queue.intermediate_queue.key)
    return len(names)
