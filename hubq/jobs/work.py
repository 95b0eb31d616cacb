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
from collections.abc import Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from rq import Queue, Worker, worker_registration
from rq.command import handle_command
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.registry import clean_registries
from rq.utils import now

from hubq.errors import Unsealed
from hubq.jobs.commands import checked, command_of
from hubq.jobs.hub_job import HubJob, TellsOnce
from hubq.jobs.hub_queue import HubQueue, without_what_is_no_id
from hubq.node.runtime.raised import in_short
from hubq.store.connection import LOST, NOT_ALLOWED
from hubq.store.seal import Seal

if TYPE_CHECKING:
    pass

log = logging.getLogger("hubq.jobs")

#: The longest pause of an idle worker before it tries a lost Redis again, seconds. (RQ's is a minute.)
RECONNECT = 2.0

#: How long a worker that is to end, and has nothing in hand, may wait for Redis, seconds.
PARTING = 5.0

#: ``prctl`` option (Linux): the signal a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


class HubWorker(TellsOnce, Worker):
    """RQ's worker. ``grace``: how long the job in hand may go on after SIGTERM, seconds. ``seal``: that of its hub."""

    queue_class = HubQueue
    job_class = HubJob
    max_connection_wait_time = RECONNECT

    def __init__(self, *args: Any, grace: float = 30.0, seal: Seal | None = None, **kwargs: Any) -> None:
        self._grace = grace
        self._seal = seal
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
                try:
                    self._clean(queue)
                except LOST:
                    raise
                except (
                    Exception
                ) as error:  # anybody may have written into the registries: no other job is to wait for that
                    log.error("the registries of queue %s are not cleaned up: %s", queue.name, in_short(error))
                queue.release_maintenance_lock()
        self.last_cleaned_at = now()  # type: ignore[assignment]

    def _clean(self, queue: Queue) -> None:
        without_what_is_no_id(queue)
        with contextlib.suppress(NOT_ALLOWED):
            clean_registries(queue, self._exc_handlers)
        worker_registration.clean_worker_registry(queue)
        queue.intermediate_queue.cleanup(self, queue)

    def handle_payload(self, message: Mapping[str, Any]) -> None:
        """As RQ's. What is no command, or has no proof though the seal asks for one, is not followed."""
        try:
            told = command_of(message)
            checked(told, self.name, self.execution, self._seal)
        except (ValueError, Unsealed) as error:
            log.warning("worker %s was told something that it does not follow: %s", self.name, error)
            return
        handle_command(self, told)

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
