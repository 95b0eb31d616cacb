"""RQ's queue, as a worker of the hub takes jobs from it: it ends in time, and what is no job stops it not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any, ClassVar

from rq import Queue
from rq.exceptions import DequeueTimeout, StopRequested

log = logging.getLogger("hubq.jobs")

#: How long an idle worker waits in Redis before it looks whether it has been told to end, seconds.
SLICE = 0.5


class HubQueue(Queue):
    """RQ's queue, from which a worker that has been told to end takes nothing more.

    RQ ends an idle worker by raising in its signal handler. If that interrupts the very moment in which Redis hands a
    job out, no worker has the job, and it fails after a minute. Here the wait is cut into slices, and the worker looks
    between them whether it is to end.
    """

    stopping: ClassVar[threading.Event] = threading.Event()  # of this process: it has one worker

    @classmethod
    def dequeue_any(cls, queues: Iterable[Queue], timeout: int | None, *args: Any, **kwargs: Any) -> Any:
        """See RQ. Raises ``StopRequested`` between two waits."""
        queues = list(queues)
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            if cls.stopping.is_set():
                raise StopRequested
            try:
                found = super().dequeue_any(queues, None if until is None else SLICE, *args, **kwargs)  # type: ignore[arg-type]
            except DequeueTimeout:
                if until is None or time.monotonic() >= until:
                    raise
                continue
            except UnicodeDecodeError:
                for queue in queues:
                    without_what_is_no_id(queue)
                continue
            if found is None or found[0].origin == found[1].name:
                return found
            job, queue = found
            log.error(
                "job %s is set aside: it stood in queue %s, and says that it is of %s", job.id, queue.name, job.origin
            )
            queue.intermediate_queue.remove(job.id)


def without_what_is_no_id(queue: Queue) -> None:
    """Take what can be the id of no job out of what workers have just taken from a queue: RQ would fail on it each time."""
    connection, key = queue.connection, queue.intermediate_queue_key
    for name in connection.lrange(key, 0, -1):
        try:
            bytes(name).decode()  # type: ignore[arg-type]
        except UnicodeDecodeError:
            log.error("%r is taken out of queue %s: it is the id of no job", name, queue.name)
            connection.lrem(key, 0, name)  # type: ignore[arg-type]
