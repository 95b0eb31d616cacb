"""What a job in RQ's hands tells of its progress: written a few times a second at most, the last one always."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Protocol, Self, runtime_checkable
from uuid import uuid4

from rq.exceptions import NoSuchJobError
from rq.job import Job, validate_job_id

from hubq.core.job_names import id_prefix_in
from hubq.core.progress import Progress, progress_of, read_progress, written
from hubq.store.connection import LOST, NOT_ALLOWED
from hubq.store.progress import JOB_FIELD
from hubq.store.scripts import SCRIPTS

log = logging.getLogger("hubq.jobs")

#: The shortest time between two writes, seconds.
PACE = 0.25


@runtime_checkable
class OfJobs(Protocol):
    """A serializer that can be that of one job: that of a hub (:mod:`hubq.jobs.serializer`)."""

    def of_job(self, job: Job) -> Any:
        """The same for one job, whose id may still come."""


class QueuedJob(Job):
    """RQ's job, and how far it is. What is sealed of it is bound to its id."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.serializer, OfJobs):
            self.serializer = self.serializer.of_job(self)

    @property
    def id(self) -> str:
        """RQ's. If nobody has given one, it begins with the name of the hub."""
        if self._id is None:
            self._id = f"{id_prefix_in(self.origin or '')}{uuid4()}"
        return self._id

    @id.setter
    def id(self, value: str) -> None:
        validate_job_id(value)
        self._id = value

    @classmethod
    def fetch(cls, id: str, *args: Any, **kwargs: Any) -> Self:
        """RQ's. A job that this user of Redis may not read is that of another hub, so there is none of this one."""
        try:
            job = super().fetch(id, *args, **kwargs)
        except NOT_ALLOWED as error:
            log.warning("job %s is not read: %s", id, error)
            raise NoSuchJobError(f"no job {id!r} that this user of Redis may read: {error}") from error
        assert isinstance(job, cls)
        return job

    def progress(self) -> Progress | None:
        """What the job has told last; None: nothing yet. It asks Redis each time."""
        told = self.connection.hget(self.key, JOB_FIELD)
        return read_progress(told.encode() if isinstance(told, str) else told)


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
