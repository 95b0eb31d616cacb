"""RQ's worker, as a node runs it: it ends in time. A job that cannot end in time goes back to the front of its queue.

All else is RQ's own. docs/guide-jobs.md ("Deploys") says what is changed, and why.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any, ClassVar

from rq import Queue, Worker, worker_registration
from rq.exceptions import DequeueTimeout, StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.registry import clean_registries
from rq.utils import now

from hubq.client.asking.calling import Doing, handling, set_handling
from hubq.client.current import current_hub, set_current_job
from hubq.core.middleware import Work
from hubq.errors import NotImportable
from hubq.jobs.progress import JobProgress, QueuedJob
from hubq.jobs.serializer import OWN, registered
from hubq.node.runtime.raised import in_short
from hubq.store.connection import LOST, NOT_ALLOWED

if TYPE_CHECKING:
    from hubq.client.hub import Hub

log = logging.getLogger("hubq.jobs")

#: How long an idle worker waits in Redis before it looks whether it has been told to end, seconds.
SLICE = 0.5

#: The longest pause of an idle worker before it tries a lost Redis again, seconds. (RQ's is a minute.)
RECONNECT = 2.0

#: How long a worker that is to end, and has nothing in hand, may wait for Redis, seconds.
PARTING = 5.0

#: ``prctl`` option (Linux): the signal a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


class HubJob(QueuedJob):
    """RQ's job, with a clear error for a function that this worker cannot import, and a line in the log for what becomes of it."""

    told_of: BaseException | None = None
    """What it has raised, and the log has told."""

    def perform(self) -> Any:
        """As RQ's, within the middleware of the hub."""
        name, before = self.func_name or "", handling()
        set_handling(Doing(method=name, job_id=self.id))
        progress = JobProgress(self)
        set_current_job(progress)
        try:
            return self._told(name)
        finally:
            progress.close()
            set_current_job(None)
            set_handling(before)

    def _told(self, name: str) -> Any:
        log.info("job %s %s: received", self.id, name)
        began = time.perf_counter()
        try:
            result = self._perform(name)
        except BaseException as error:
            left = f"; tries left: {self.retries_left}" if self.retries_left else ""
            spent = time.perf_counter() - began
            log.error(
                "job %s %s: failed after %.2f s%s: %s", self.id, name, spent, left, in_short(error), exc_info=error
            )
            self.told_of = error
            raise
        log.info("job %s %s: done in %.2f s", self.id, name, time.perf_counter() - began)
        return result

    def _perform(self, name: str) -> Any:
        hub = current_hub()
        if hub.config.codec == "data":
            self._made_typed(hub)
        if not hub.layers:
            return super().perform()
        work = Work("job", hub.hub_id, self.worker_name or "", self.id, name, name)
        return hub.layers.around(work, super().perform)()

    def _made_typed(self, hub: Hub) -> None:
        """With ``codec="data"``: arguments as the annotations of the function say, and no callbacks (RQ imports what they name)."""
        callbacks = (self._success_callback_name, self._failure_callback_name, self._stopped_callback_name)
        if any(callbacks):
            raise NotImportable(f'job {self.id} names a callback, and with codec="data" none is run')
        args, kwargs = hub.driver.context.values.typed(self.func, self.args, self.kwargs, 0)
        self.args, self.kwargs = args, kwargs

    # RQ imports what a job names as its callbacks, also when the job itself is refused.
    @property
    def success_callback(self) -> Any:
        """RQ's; none with ``codec="data"``."""
        return super().success_callback if current_hub().config.codec == "pickle" else None

    @property
    def failure_callback(self) -> Any:
        """RQ's; none with ``codec="data"``."""
        return super().failure_callback if current_hub().config.codec == "pickle" else None

    @property
    def stopped_callback(self) -> Any:
        """RQ's; none with ``codec="data"``."""
        return super().stopped_callback if current_hub().config.codec == "pickle" else None

    @property
    def func(self) -> Any:
        """The function."""
        try:
            hub = current_hub()
            if hub.config.codec == "data" and self.func_name not in OWN:
                return registered(hub, self.func_name or "")
            return super().func
        except Exception as error:
            raise NotImportable(
                f"job {self.id}: this worker cannot import {_name(self)!r} ({type(error).__name__}: {error}): "
                "deploy the module to the workers, and enqueue functions from the top of a module"
            ) from error


def _name(job: Job) -> str:
    try:
        return job.func_name or ""
    except Exception:  # what RQ kept of it cannot be read
        return "?"


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
                return super().dequeue_any(queues, None if until is None else SLICE, *args, **kwargs)  # type: ignore[arg-type]
            except DequeueTimeout:
                if until is None or time.monotonic() >= until:
                    raise


class TellsOnce:
    """A worker whose log tells of a job's exception once: RQ's line would have the same traceback, and the job's arguments."""

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """As RQ's, if the job has not told. (This worker has no exception handlers, which RQ's would call.)"""
        if not isinstance(job, HubJob) or job.told_of is None or job.told_of is not exc_info[1]:
            super().handle_exception(job, *exc_info)  # type: ignore[misc]


class HubWorker(TellsOnce, Worker):
    """RQ's worker. ``grace``: how long the job in hand may go on after SIGTERM, seconds."""

    queue_class = HubQueue
    job_class = HubJob
    max_connection_wait_time = RECONNECT

    def __init__(self, *args: Any, grace: float = 30.0, **kwargs: Any) -> None:
        self._grace = grace
        self._giving_back = False
        super().__init__(*args, **kwargs)

    def hurry(self) -> None:
        """Let the job in hand go on no longer."""
        self._grace = 0.0

    def _shutdown(self) -> None:
        # RQ's raises from the signal handler when idle (see HubQueue), and writes to Redis from it.
        self._stop_requested = True
        HubQueue.stopping.set()
        threading.Thread(target=self._end_in_time, daemon=True, name="hubq-grace").start()
        threading.Thread(target=self._end_without_redis, daemon=True, name="hubq-parting").start()

    def request_force_stop(self, signum: int, frame: FrameType | None) -> None:
        """Nothing: service managers signal the node and its processes, and the node passes its own signal on.

        A node that ends at once closes its line to us; that makes it hurry.
        """

    def _end_in_time(self) -> None:
        began = time.monotonic()
        while time.monotonic() < began + self._grace:
            time.sleep(0.05)
        self._giving_back = True
        while True:  # until this process ends: a horse may be about to be forked
            self.kill_horse(signal.SIGKILL)
            time.sleep(0.05)

    def _end_without_redis(self) -> None:
        """End this process by force: with Redis away or silent, RQ might never end it."""
        waits_since = time.monotonic()
        while time.monotonic() < waits_since + PARTING:
            if self.horse_pid and not self._giving_back:
                waits_since = time.monotonic()  # a job is in hand, and has its time
            time.sleep(0.05)
        self.log.error("Worker %s: Redis did not answer within %g s: it is not told of the end", self.name, PARTING)
        os._exit(1)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """As RQ's. But RQ's wait for a lost Redis has no end, and each of its rounds begins here."""
        try:
            super().heartbeat(timeout, pipeline)
        except LOST as error:
            if HubQueue.stopping.is_set():
                raise StopRequested from error
            raise

    def clean_registries(self) -> None:
        """As RQ's, which also looks after the rate limits of all who share its keys: here only as far as they may be reached."""
        for queue in self.queues:
            if queue.acquire_maintenance_lock():
                with contextlib.suppress(NOT_ALLOWED):
                    clean_registries(queue, self._exc_handlers)
                worker_registration.clean_worker_registry(queue)
                queue.intermediate_queue.cleanup(self, queue)
                queue.release_maintenance_lock()
        self.last_cleaned_at = now()  # type: ignore[assignment]

    def clean_group_registries(self) -> None:
        """As RQ's, as far as the groups may be reached: they are of all who share RQ's keys."""
        with contextlib.suppress(NOT_ALLOWED):
            super().clean_group_registries()  # type: ignore[no-untyped-call]

    def teardown(self) -> None:
        """As RQ's, with a line instead of a traceback when Redis is away."""
        try:
            super().teardown()  # type: ignore[no-untyped-call]
        except LOST as error:
            self.log.error("Worker %s: Redis is not told of the end: %s", self.name, error)
            sys.exit(1)

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """As RQ's, but never the group of this process: a horse that was forked just now has no group of its own yet."""
        pid = self.horse_pid
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(pid) == pid:
                os.killpg(pid, sig)
            else:
                os.kill(pid, sig)

    def handle_job_failure(
        self, job: Job, queue: Queue, started_job_registry: Any = None, exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:  # fmt: skip
        """As RQ's, but for a job whose horse we have ended: it did not fail."""
        if self._giving_back and not self.is_horse and self._stopped_job_id != job.id:
            give_back(self, job, queue, execution)
        else:
            super().handle_job_failure(job, queue, started_job_registry, exc_string, execution)

    def setup_work_horse_signals(self) -> None:
        """The horse goes on when its whole process group is told to end (as systemd does), and ends with its worker."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, go_on)  # a handler, not SIG_IGN: programs that the job starts do not inherit it
        end_with_parent(signal.SIGKILL)


def go_on(number: int, frame: FrameType | None) -> None:
    """The signal is meant for another process."""


def give_back(worker: Worker, job: Job, queue: Queue, execution: Execution | None) -> None:
    """Put a job that was interrupted back to the front of its queue, as if it had not been begun."""
    worker.log.warning("Worker %s: job %s goes back to the front of %s", worker.name, job.id, queue.name)
    job.refresh()  # its horse may have saved meta
    with worker.connection.pipeline() as pipeline:
        worker.cleanup_execution(job, pipeline=pipeline, execution=execution)
        pipeline.lrem(queue.intermediate_queue_key, 1, job.id)  # if the horse had not come so far
        queue._enqueue_job(job, pipeline=pipeline, at_front=True)  # what RQ's own retry calls
        pipeline.execute()


def end_with_parent(number: signal.Signals) -> None:
    """Get this signal when the parent process ends, however it does (Linux; elsewhere nothing happens)."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os.kill(os.getpid(), number)  # it had ended before we asked
