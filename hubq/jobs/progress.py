"""What a job in RQ's hands tells of its progress: written a few times a second at most, the last one always."""

from __future__ import annotations

import logging
import threading
import time

from rq.job import Job

from hubq.core.progress import Progress, progress_of, written
from hubq.jobs.queued_job import QueuedJob
from hubq.store.connection import LOST
from hubq.store.progress import JOB_FIELD
from hubq.store.scripts import SCRIPTS

#: ``QueuedJob`` was here, and is imported from here by apps.
__all__ = ["PACE", "JobProgress", "QueuedJob"]

log = logging.getLogger("hubq.jobs")

#: The shortest time between two writes, seconds.
PACE = 0.25


class JobProgress:
    """The job at hand (:func:`hubq.current_job`). ``close()`` writes what was told last."""

    def __init__(self, job: Job) -> None:
        self.id = job.id
        self._key = job.key
        self._note = job.connection.register_script(SCRIPTS["note_job"].text)
        self._lock = threading.Lock()
        self._told: Progress | None = None
        self._timer: threading.Timer | None = None
        self._due = 0.0

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Tell people how far the job is. See :meth:`hubq.Child.progress`."""
        told = progress_of(done, total, text, time.time())
        with self._lock:
            self._told = told
            wait = self._due - time.monotonic()
            if wait > 0:
                if self._timer is None:
                    self._timer = timer = threading.Timer(wait, self._write)
                    timer.daemon = True
                    timer.start()
                return
        self._write()

    def close(self) -> None:
        """The job has ended."""
        with self._lock:
            timer = self._timer
        if timer is not None:
            timer.cancel()
        self._write()

    def _write(self) -> None:
        with self._lock:  # (one write at a time: an earlier one may not come after a later one)
            told, self._told, self._timer = self._told, None, None
            self._due = time.monotonic() + PACE
            if told is None:
                return
            try:
                self._note(keys=[self._key], args=[JOB_FIELD, written(told)])
            except LOST as error:  # it is no state: the job goes on
                log.debug("the progress of job %s is not written: %s", self.id, error)
