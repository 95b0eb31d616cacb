"""Jobs that children enqueue, where RQ has a Redis of its own (``jobs_redis``): no transaction holds in two of them.

So it takes two steps, and each happens once however often it is tried. In RQ's Redis a transaction enqueues a job and marks its id.
Then a transaction in the hub's Redis takes the jobs out of the stream of their shard. If the second one does not follow, the
marks say what is in RQ already.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from rq import Queue
from rq.job import Job

from hubq.client.faces.jobs import Put
from hubq.core.malformed import reason
from hubq.errors import RedisUnavailable
from hubq.jobs.checks import translated
from hubq.jobs.effects import AT_ONCE, MARK_KEPT, needs_clock, restored, send_on, transaction
from hubq.jobs.keyed_work import KeyedQueue
from hubq.store.connection import OVERTAKEN
from hubq.store.server import slots_of
from hubq.store.slots import is_away
from hubq.store.waiting_jobs import WaitingJob, read_waiting

if TYPE_CHECKING:
    from hubq.client.hub import Hub

log = logging.getLogger("hubq.jobs")


class Ready(NamedTuple):
    """A job of the stream, and what RQ makes of it."""

    waiting: WaitingJob
    job: Job


def put_apart(
    hub: Hub, here: Queue, queue: Queue, keyed: KeyedQueue, shard: int, start_clock: Callable[[], None]
) -> Put:
    """Put the next jobs of a shard into RQ, in order. ``here`` has a connection to the hub's Redis.

    Raises :class:`~hubq.errors.RedisUnavailable`, :class:`~hubq.errors.RedisRefused`: try again later.
    """
    stream, mark = hub.keys.jobs(shard), hub.keys.jobs_put(shard)
    malformed: list[tuple[str, str]] = []
    with _of_hub(hub, here), transaction(here) as pipe:
        pipe.watch(mark, stream)
        entries = pipe.xrange(stream, count=AT_ONCE)
        if not entries:
            pipe.multi()
            pipe.delete(stream)  # (Redis keeps empty streams.)
            with contextlib.suppress(OVERTAKEN):
                pipe.execute()
            return Put([], False, False)
        pipe.unwatch()
        pipe.watch(mark)  # not the stream: commits go on writing to it
        ready: list[Ready] = []
        for entry, fields in entries:
            try:
                waiting = read_waiting([part for pair in fields.items() for part in pair])
                ready.append(Ready(waiting, restored(queue, waiting)))
            except Exception as error:
                malformed.append((f"entry {entry.decode()} of {stream}", reason(error)))
        with translated(hub.jobs_server):
            for each in ready:
                if needs_clock(each.waiting.record.fields):
                    start_clock()
                enqueue_once(hub, queue, keyed, each)
        pipe.multi()
        with_key = [each.waiting for each in ready if each.waiting.key]
        for waiting in with_key:
            send_on(hub, pipe, shard, waiting)
        taken = [entry for entry, _ in entries]
        pipe.xdel(stream, *taken)
        pipe.set(mark, taken[-1], px=MARK_KEPT)
        with contextlib.suppress(OVERTAKEN):  # another owner of the shard has taken them
            pipe.execute()
    return Put(malformed, bool(with_key), True)


def enqueue_once(hub: Hub, queue: Queue, keyed: KeyedQueue, ready: Ready) -> None:
    """Put a job into RQ, unless it has been put there."""
    waiting, job = ready
    done = f"{hub.keys.prefix}job_put:{waiting.job_id}"
    while True:
        with transaction(queue) as pipe:
            pipe.watch(done, job.key)
            if pipe.exists(done):
                return
            if waiting.record.unique and pipe.exists(job.key):
                log.info("job %s of child %s exists already: it is not enqueued", job.id, waiting.sender)
                return
            if waiting.key:
                keyed.enqueue_job(job, pipeline=pipe)
            else:
                queue.enqueue_job(job, pipeline=pipe, at_front=waiting.record.at_front)
            if not pipe.explicit_transaction:
                pipe.multi()
            pipe.set(done, waiting.sender, px=MARK_KEPT)
            with contextlib.suppress(OVERTAKEN):
                pipe.execute()
                return


@contextlib.contextmanager
def _of_hub(hub: Hub, here: Queue) -> Iterator[None]:
    """The refusals of the hub's Redis, and a slot that has moved."""
    with translated(hub.server):
        try:
            yield
        except Exception as error:
            slots = slots_of(hub.server)
            if slots is None or not is_away(error):
                raise
            slots.went([error])
            here.connection.connection_pool.disconnect()
            raise RedisUnavailable(str(slots.elsewhere(error))) from error
