"""What RQ's scheduler finds due, without what is no job: RQ would fail on it each time, and nothing would be scheduled any more."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from rq import Queue

from hubq.jobs.queued_job import QueuedJob

log = logging.getLogger("hubq.jobs")


def without_what_is_no_job(queues: Sequence[Queue]) -> None:
    """Take what is no job out of what is due in these queues, with a line in the log for each."""
    for queue in queues:
        connection, key = queue.connection, queue.scheduled_job_registry.key
        for raw in connection.zrangebyscore(key, "-inf", time.time()):
            assert isinstance(raw, bytes)
            try:
                job_id = raw.decode()
                (job,) = QueuedJob.fetch_many([job_id], connection, serializer=queue.serializer)
            except UnicodeDecodeError:
                job = None
            if job is None:
                log.error("%r is not scheduled any more in queue %s: it is no job", raw, queue.name)
                connection.zrem(key, raw)
