"""What runs by the clock: scheduled jobs, retries with an interval, children started later, cron.

The clock of a hub is one of its children, ``hubq-clock``: it runs on one node, moves when that node drains, and is taken over
when it dies. It runs RQ's own schedulers: ``RQScheduler`` for jobs that are due once, ``CronScheduler`` for cron entries.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from rq import Queue, SimpleWorker
from rq.cron import CronJob, CronScheduler
from rq.exceptions import DuplicateJobError, NoSuchJobError
from rq.scheduler import RQScheduler
from rq.scripts import release_lock
from rq.timeouts import TimerDeathPenalty

from hubq.client.asking.forks import renewed_after_fork
from hubq.client.current import current_hub
from hubq.client.faces.jobs import CronLine
from hubq.core.child import Child
from hubq.core.job_names import clock_queue_name, id_of_tick, name_in_rq
from hubq.errors import AlreadyStarted
from hubq.jobs.due import without_what_is_no_job
from hubq.jobs.hub_job import HubJob
from hubq.jobs.hub_queue import without_what_is_no_id
from hubq.jobs.keyed_work import forget_executions
from hubq.jobs.names import CLOCK
from hubq.jobs.queued_job import QueuedJob
from hubq.jobs.serializer import serializer_of
from hubq.store.connection import ANSWER_TIMEOUT, LOST

if TYPE_CHECKING:
    from hubq.client.hub import Hub

T = TypeVar("T")

log = logging.getLogger("hubq.jobs")

#: How long the clock rests at most before it looks again for jobs that are due, seconds.
INTERVAL = 0.5


class ClockWorker(SimpleWorker):
    """Runs in the clock itself the jobs that start a child or another job: a few milliseconds each."""

    job_class = HubJob
    death_penalty_class = TimerDeathPenalty  # it runs in a thread


class HubqClock(Child):
    """The clock of a hub."""

    def __init__(self) -> None:
        self.leader = ""  # the name under which RQ's scheduler locks are held
        self.ticks: dict[str, float] = {}  # cron entry -> when it was last enqueued, seconds since 1970

    async def run(self) -> None:
        """Run the schedulers. If it is cancelled (a move), it returns when they have ended."""
        wheels: Wheels | None = None
        try:
            while True:
                try:
                    if wheels is None:
                        wheels = await _in_thread(self._wheels)
                        self.leader = wheels.name
                        await self.commit()
                    if wheels.cron_due():
                        await self.commit()  # refused if another node has the clock by now
                        await _in_thread(wheels.turn_cron)
                        await self.commit()
                    await _in_thread(wheels.turn)
                except Exception as error:
                    log.warning("the clock of hub %s waits: %r", current_hub().hub_id, error)
                await rest(INTERVAL if wheels is None else wheels.until_tick())
        finally:
            if wheels is not None:
                await _in_thread(wheels.close)

    def _wheels(self) -> Wheels:
        return Wheels(current_hub(), self.node_name, self.leader, self.ticks)


async def rest(until_tick: float) -> None:
    """Rest, and not beyond the next tick of a cron entry (seconds). A clock of a test has longer rests."""
    await asyncio.sleep(min(INTERVAL, until_tick))


async def _in_thread(work: Callable[[], T]) -> T:
    # A thread cannot be cancelled: the clock must not move while the schedulers still run here.
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class Wheels:
    """RQ's schedulers on the clock's node."""

    def __init__(self, hub: Hub, node_name: str, before: str, ticks: dict[str, float]) -> None:
        self.name = name_in_rq(hub.hub_id, f"{node_name}.clock-{time.time_ns()}")
        for name in ("rq.cron", "rq.scheduler", "rq.worker"):  # a line for each tick, and for each start of a child
            logging.getLogger(name).setLevel(logging.WARNING)
        self.ticks = ticks
        self._connection = hub.jobs_server.sync_client(ANSWER_TIMEOUT)
        self._serializer = serializer = serializer_of(hub)
        names = [hub.queue_name, clock_queue_name(hub.hub_id)]
        self._scheduler = RQScheduler(
            names, connection=self._connection, interval=1, name=self.name, logging_level="ERROR", serializer=serializer
        )
        self._scheduler._connection = self._connection
        for name in names:
            # The clock's former node held these locks. Dead or alive, it has the clock no more: this node owns it.
            release_lock(self._connection, RQScheduler.get_locking_key(name), before)
        self._scheduler.register_birth()
        self._due_in = [
            Queue(name, connection=self._connection, job_class=QueuedJob, serializer=serializer) for name in names
        ]
        self._queue = self._due_in[1]
        worker_name = f"{self.name}.jobs"
        self._worker = ClockWorker([self._queue], name=worker_name, connection=self._connection, serializer=serializer)
        self._cron = CronScheduler(self._connection, logging_level="ERROR", name=self.name)
        self._hub_id, self._pickles = hub.hub_id, hub.config.codec == "pickle"
        self._entries: dict[str, str] = {}  # the name that RQ knows -> the name of the entry
        for entry in hub.jobs.crons:
            self._register(entry)
        if self._cron.get_jobs():
            self._cron.register_birth()
        self._recover()

    def _register(self, entry: CronLine) -> None:
        name = name_in_rq(self._hub_id, entry.name)
        job = entry.registered_with(self._cron, name)
        self._entries[name] = entry.name
        last = self.ticks.setdefault(entry.name, time.time())
        job.latest_enqueue_time = datetime.fromtimestamp(last, UTC)
        job.next_enqueue_time = job.get_next_enqueue_time()  # in the past, if it fell between two nodes

    def _recover(self) -> None:
        """Put back the job that a former node of the clock had in hand when it died. (Only the clock takes jobs from this queue.)"""
        ids = self._queue.intermediate_queue.get_job_ids() + self._queue.started_job_registry.get_job_ids(cleanup=False)
        for job_id in dict.fromkeys(ids):
            with contextlib.suppress(NoSuchJobError):
                job = QueuedJob.fetch(job_id, connection=self._connection, serializer=self._serializer)
                forget_executions(job)
                with self._connection.pipeline() as pipeline:
                    pipeline.lrem(self._queue.intermediate_queue_key, 0, job_id)
                    self._queue._enqueue_job(job, pipeline=pipeline, at_front=True)
                    pipeline.execute()

    def turn(self) -> None:
        """Enqueue the jobs that are due, and run those that start a child or another job."""
        if self._scheduler.acquired_locks != self._scheduler._queue_names:
            self._scheduler.acquire_locks()
        self._scheduler.heartbeat()
        self._enqueue_due()
        without_what_is_no_id(self._queue)
        while (
            found := self._queue.dequeue_any(
                [self._queue], None, connection=self._connection, job_class=HubJob, serializer=self._serializer
            )
        ) is not None:
            job, queue = found
            self._worker.perform_job(job, queue, self._worker.prepare_execution(job))

    def _enqueue_due(self) -> None:
        try:
            self._scheduler.enqueue_scheduled_jobs()
        except LOST:
            raise
        except Exception:  # anybody may have written what is due
            without_what_is_no_job(self._due_in)
            self._scheduler.enqueue_scheduled_jobs()

    def close(self) -> None:
        """Release the locks, and remove the clock from RQ's lists."""
        with contextlib.suppress(Exception):  # Redis may be away; the locks end by themselves, or with the next clock
            self._scheduler.stop()
            self._cron.register_death()
        self._connection.close()

    def cron_due(self) -> bool:
        """Whether some cron entry is due."""
        return any(job.should_run() for job in self._cron.get_jobs())

    def until_tick(self) -> float:
        """How long until a cron entry is due, seconds."""
        due = [job.next_enqueue_time.timestamp() for job in self._cron.get_jobs() if job.next_enqueue_time is not None]
        return max(0.0, min(due, default=math.inf) - time.time())

    def turn_cron(self) -> None:
        """Enqueue the cron entries that are due. The id of the job names the tick, so that each is enqueued once."""
        for job in self._cron.get_jobs():
            if job.should_run():
                self._tick(job)
        self._cron.save()
        self._cron.heartbeat()

    def _enqueue(self, job: CronJob) -> None:
        if self._pickles:
            job.enqueue(self._connection)
            return
        # RQ's own entries know no serializer. (What they keep of their past jobs is left out.)
        queue = Queue(job.queue_name, connection=self._connection, job_class=QueuedJob, serializer=self._serializer)
        assert job.func is not None
        queue.enqueue(job.func, args=job.args, kwargs=job.kwargs, **job.job_options)

    def _tick(self, job: CronJob) -> None:
        assert job.next_enqueue_time is not None
        tick = int(job.next_enqueue_time.timestamp())
        job.job_options |= {"job_id": id_of_tick(self._hub_id, self._entries[job.name], tick), "unique": True}
        try:
            self._enqueue(job)
        except DuplicateJobError:
            log.info("cron %s: %d was enqueued before", job.name, tick)
        now = datetime.fromtimestamp(time.time(), UTC)
        job.set_enqueue_time(now)  # of several ticks that were missed, one is made up for
        self.ticks[self._entries[job.name]] = now.timestamp()


class _Starting:
    """One thread of this process starts a clock at a time."""

    def __init__(self) -> None:
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        self.lock = threading.Lock()


_starting = _Starting()


def start_clock(hub: Hub) -> None:
    """Start the hub's clock, if it has none."""
    with _starting.lock, contextlib.suppress(AlreadyStarted):
        hub.start_child(CLOCK, HubqClock, restart="permanent")
