"""RQ's job, as it is kept in Redis: what others can have written there is input, and what is sealed is opened for what it is alone."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol, Self, runtime_checkable
from uuid import uuid4

from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job, validate_job_id

from hubq.core.job_names import Purpose, id_prefix_in
from hubq.core.progress import Progress, read_progress
from hubq.store.answers import NOT_ALLOWED, REFUSED, WRONG_TYPE
from hubq.store.progress import JOB_FIELD

log = logging.getLogger("hubq.jobs")

#: No number of a job is larger: RQ reckons with them as floats, and gives them to Redis as seconds.
MOST = 10**12
#: The numbers of a job: seconds, and how often.
NUMBERS = ("timeout", "result_ttl", "failure_ttl", "ttl", "number_of_retries", "retries_left", "repeats_left")
#: The field for a result of RQ before 1.12, which hubq never wrote. RQ still reads it, and the seal of a result would be good there.
FORMER_RESULT = b"result"


@runtime_checkable
class OfJobs(Protocol):
    """A serializer that can be that of one job: that of a hub (:mod:`hubq.jobs.serializer`)."""

    def of_job(self, job: Job) -> Any:
        """The same for one job, whose id may still come."""

    def of(self, purpose: Purpose) -> Any:
        """The same for ``"arguments"``, ``"meta"`` or a ``"result"`` of the job."""

    def believes(self, field: bytes) -> bool:
        """Whether a field is followed that stands beside what is sealed."""


class QueuedJob(Job):
    """RQ's job, and how far it is. What is sealed of it is bound to its id, and to whether it is its arguments, its meta or a result."""

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

    def progress(self) -> Progress | None:
        """What the job has told last; None: nothing yet. It asks Redis each time."""
        told = self.connection.hget(self.key, JOB_FIELD)
        return read_progress(told.encode() if isinstance(told, str) else told)

    # -- what is kept --------------------------------------------------------------------------------------------------

    @classmethod
    def fetch(cls, id: str, *args: Any, **kwargs: Any) -> Self:
        """RQ's. Raises NoSuchJobError for what is none, and for what this user of Redis may not read, since it is of another hub."""
        try:
            job = cls._fetched(id, *args, **kwargs)
        except NoSuchJobError as error:
            if error.__cause__ is not None:
                log.warning("job %s is not read: %s", id, error)
            raise
        assert isinstance(job, cls)
        return job

    @classmethod
    def _fetched(cls, id: str, *args: Any, **kwargs: Any) -> Job:
        try:
            return super().fetch(id, *args, **kwargs)
        except NOT_ALLOWED as error:
            raise NoSuchJobError(f"no job {id!r} that this user of Redis may read: {error}") from error
        except REFUSED as error:
            if WRONG_TYPE not in str(error):
                raise
            raise NoSuchJobError(f"what stands at the key of job {id!r} is no job: {error}") from error
        except (ValueError, TypeError) as error:  # its id cannot be one
            raise NoSuchJobError(f"{id!r} is the id of no job: {error}") from error

    @classmethod
    def fetch_many(cls, job_ids: Iterable[str], connection: Any, serializer: Any = None) -> list[Any]:
        """RQ's. None for what is no job, too."""
        ids = list(job_ids)
        with connection.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hgetall(cls.key_for(job_id))
            kept = pipeline.execute(raise_on_error=False)
        jobs: list[Any] = []
        for job_id, fields in zip(ids, kept, strict=True):
            job = None
            if isinstance(fields, dict) and fields:
                job = cls(job_id, connection=connection, serializer=serializer)
                try:
                    job.restore(fields)
                except NoSuchJobError:
                    job = None
            jobs.append(job)
        return jobs

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        """RQ's. Raises NoSuchJobError for what is no job: anybody may have written it."""
        try:
            with self._as("meta"):
                super().restore({name: value for name, value in raw_data.items() if self._believes(name)})
            if self.timeout is None:  # RQ gives each job one that it takes into a queue, and reckons with it
                self.timeout = Queue.DEFAULT_TIMEOUT
            for name in NUMBERS:
                number = getattr(self, name)
                if number is not None and not -MOST <= number <= MOST:
                    raise ValueError(f"its {name} is {str(number)[:20]}...")
        except NoSuchJobError:
            raise
        except Exception as error:
            raise NoSuchJobError(
                f"what is kept of job {self._id!r} is no job: {type(error).__name__}: {error}"
            ) from error

    def _believes(self, field: bytes) -> bool:
        return field != FORMER_RESULT and (not isinstance(self.serializer, OfJobs) or self.serializer.believes(field))

    # -- what is sealed ----------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _as(self, purpose: Purpose) -> Iterator[None]:
        """RQ reads and writes all values of a job with its serializer: within this, those of one kind."""
        its = self.serializer
        if isinstance(its, OfJobs):
            self.serializer = its.of(purpose)
        try:
            yield
        finally:
            self.serializer = its

    @property
    def data(self) -> bytes:
        """RQ's: the function and its arguments, as they are kept."""
        with self._as("arguments"):
            kept = super().data
        assert isinstance(kept, bytes)
        return kept

    @data.setter
    def data(self, value: bytes) -> None:
        Job.data.fset(self, value)  # type: ignore[attr-defined]

    def _deserialize_data(self) -> None:
        with self._as("arguments"):
            super()._deserialize_data()  # type: ignore[no-untyped-call]

    def get_meta(self, refresh: bool = True) -> Any:
        """RQ's."""
        with self._as("meta"):
            return super().get_meta(refresh)

    def _serialize_meta(self) -> bytes:
        with self._as("meta"):
            return super()._serialize_meta()
