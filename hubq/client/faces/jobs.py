"""One-off jobs, as a hub offers them. ``hubq.jobs`` does the work; it is above this layer, and the only importer of rq.

This module knows it as the :class:`Jobs` protocol only. The top package, which is above all layers, tells the hub with
:func:`~hubq.client.hub.provide_jobs` how to get one; ``rq`` is imported when the first job is enqueued, not by
``import hubq`` (docs/adr/0005-jobs-through-rq.md).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, ParamSpec, Protocol, TypeVar, overload

from hubq.client.asking.driver import AsyncDriver, Driver
from hubq.client.asking.running_loop import refuse_in_event_loop
from hubq.client.faces.resumable_jobs import AsyncResumableJob, ResumableJob
from hubq.client.operations.resumable_jobs import progress_of_child
from hubq.core.arguments import check_function
from hubq.core.progress import Progress, read_progress
from hubq.core.spec import ChildSpec, Restart
from hubq.errors import InvalidJob

if TYPE_CHECKING:
    from rq import Queue
    from rq.cron import CronJob, CronScheduler
    from rq.job import Job

    from hubq.jobs.queued_job import QueuedJob

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class JobFunction(Protocol[P, R_co]):
    """What ``@hub.job`` makes of a function: the function itself, with these. For type checkers only."""

    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...

    def enqueue(self, *args: Any, **kwargs: Any) -> QueuedJob: ...

    def delay(self, *args: Any, **kwargs: Any) -> QueuedJob: ...

    def enqueue_in(self, delay: timedelta | float, *args: Any, **kwargs: Any) -> QueuedJob: ...

    def enqueue_at(self, when: datetime, *args: Any, **kwargs: Any) -> QueuedJob: ...


class ResumableFunction(Protocol[R_co]):
    """What ``@hub.job(resumable=True)`` makes of a function. ``hubq_child_class`` is the child that runs it.

    (Its parameters are left out: with a ``ctx: Any`` among them mypy could not tell the two kinds apart.)
    """

    __name__: str
    __qualname__: str
    hubq_child_class: Any

    def __call__(self, *args: Any, **kwargs: Any) -> R_co: ...

    def enqueue(self, *args: Any, **kwargs: Any) -> ResumableJob: ...

    def delay(self, *args: Any, **kwargs: Any) -> ResumableJob: ...

    def enqueue_in(self, delay: timedelta | float, *args: Any, **kwargs: Any) -> QueuedJob: ...

    def enqueue_at(self, when: datetime, *args: Any, **kwargs: Any) -> QueuedJob: ...


class Prepared(NamedTuple):
    """A job that a child enqueues, checked: its id, its key (empty: it has none), and what the commit keeps of it."""

    job_id: str
    key: str
    record: bytes


class Put(NamedTuple):
    """What became of the next jobs that children had enqueued. ``malformed``: entries that are no jobs, each with its place and
    why. ``keyed``: jobs with keys have gone into the outbox of the shard. ``more``: there may be more.
    """

    malformed: list[tuple[str, str]]
    keyed: bool
    more: bool


class CronLine(Protocol):
    """A line of the crontab."""

    @property
    def name(self) -> str: ...

    def registered_with(self, scheduler: CronScheduler, name: str) -> CronJob: ...


class Jobs(Protocol):
    """What ``hubq.jobs`` does for one hub."""

    queue_name: str

    @property
    def rq_queue(self) -> Queue: ...

    def enqueue(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> QueuedJob | ResumableJob: ...

    @property
    def crons(self) -> Sequence[CronLine]: ...

    def cron(
        self,
        cron: str,
        target: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str | None,
        child_id: str | None,
    ) -> None: ...

    def start_child_at(self, when: datetime, spec: ChildSpec) -> Job: ...

    def start_clock(self) -> None: ...

    def clock(self) -> str: ...

    def close(self) -> None: ...

    def make_resumable(self, function: Any) -> None: ...

    def prepared(
        self, job_id: str, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Prepared | ChildSpec: ...

    def put(self, shard: int) -> Put: ...

    def told(self, job_id: str) -> tuple[bool, bytes | None]: ...

    def enqueue_at(self, when: datetime, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> QueuedJob: ...


def _after(delay: timedelta | float) -> datetime:
    if isinstance(delay, bool) or not isinstance(delay, (timedelta, int, float)):
        raise InvalidJob(f"{delay!r} is no delay: give seconds, or a timedelta")
    return datetime.fromtimestamp(time.time()).astimezone() + (
        delay if isinstance(delay, timedelta) else timedelta(seconds=delay)
    )


def _id_of(job: Job | ResumableJob | AsyncResumableJob | str) -> str:
    return job if isinstance(job, str) else job.id


class JobMethods:
    """The part of :class:`~hubq.client.hub.Hub` that is about jobs."""

    def __init__(self, driver: Driver, make: Callable[[], Jobs]) -> None:
        self.driver = driver
        self.app = ""
        """Where this hub is found, ``module:attribute``, for the job processes that a worker starts; empty if not known."""
        self._make = make
        self._made: Jobs | None = None
        self.job_functions: dict[str, Callable[..., Any]] = {}
        """The functions that are registered (``@hub.job``, ``hub.cron``), by their dotted path."""

    @property
    def jobs(self) -> Jobs:
        """The object that does the work; it is made at the first use."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def register_job(self, function: Callable[..., Any]) -> None:
        """Make a function known to the job workers of this hub. ``@hub.job`` does so. With ``codec="data"`` they run no other.

        Raises :class:`~hubq.errors.ConfigError` that names an annotation to which no data can be converted (``codec="data"``).
        """
        if self.driver.context.values.codec == "data":
            check_function(function, resumable=hasattr(function, "hubq_child_class"))
        self.job_functions[f"{function.__module__}.{function.__qualname__}"] = function

    def close_jobs(self) -> None:
        """Close its connection, if it has one; the next job opens a new one."""
        if self._made is not None:
            self._made.close()

    def loaded_from(self, app: str) -> None:
        """Say where this hub is found (``hubq worker``)."""
        self.app = app

    @property
    def queue_name(self) -> str:
        """The name of this hub's RQ queue: ``hubq-`` and the hub's id. Any RQ client may enqueue to it."""
        return self.jobs.queue_name

    @property
    def rq_queue(self) -> Queue:
        """This hub's ``rq.Queue``: its counts, registries and whatever else RQ offers."""
        return self.jobs.rq_queue

    @overload
    def enqueue(self, function: ResumableFunction[object], *args: Any, **kwargs: Any) -> ResumableJob: ...

    @overload
    def enqueue(self, function: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> QueuedJob: ...

    def enqueue(self, function: Any, *args: Any, **kwargs: Any) -> QueuedJob | ResumableJob:
        """Enqueue a one-off job; the answer is RQ's ``Job``.

        ``function`` is a function of an importable module, or its dotted path. Keyword arguments with RQ's names are
        RQ's options (``job_timeout``, ``retry``, ``result_ttl``, ``depends_on``, ``unique``, ...), the others go to the
        function; a function that has arguments of such names gets them as ``args=(...), kwargs={...}``.

        ``key="account-7"``: jobs of one key run one at a time and in order, on the nodes that host children.

        Raises :class:`~hubq.errors.NotImportable`, :class:`~hubq.errors.InvalidJob` (RQ refuses the options),
        :class:`~hubq.errors.InvalidKey`, :class:`~hubq.errors.DuplicateJob`, :class:`~hubq.errors.MailboxFull`,
        :class:`~hubq.errors.RedisUnavailable`, :class:`~hubq.errors.WaitsInEventLoop`.
        """
        refuse_in_event_loop()
        return self.jobs.enqueue(function, args, kwargs)

    def enqueue_in(self, delay: timedelta | float, function: Any, *args: Any, **kwargs: Any) -> QueuedJob:
        """Enqueue a job after a ``timedelta``, or so many seconds. See :meth:`enqueue`."""
        refuse_in_event_loop()
        return self.jobs.enqueue_at(_after(delay), function, args, kwargs)

    def enqueue_at(self, when: datetime, function: Any, *args: Any, **kwargs: Any) -> QueuedJob:
        """Enqueue a job at a time (without a time zone: local time). See :meth:`enqueue`."""
        refuse_in_event_loop()
        return self.jobs.enqueue_at(when, function, args, kwargs)

    def start_child_in(
        self,
        delay: timedelta | float,
        child_id: str,
        target: Any,
        *args: Any,
        metadata: dict[str, Any] | None = None,
        restart: Restart | None = None,
        **kwargs: Any,
    ) -> Job:
        """Start a child after a ``timedelta``, or so many seconds. The answer is the RQ ``Job`` that will do so."""
        refuse_in_event_loop()
        spec = ChildSpec(child_id, target, args, kwargs, metadata or {}, restart)
        return self.jobs.start_child_at(_after(delay), spec)

    def start_child_at(
        self,
        when: datetime,
        child_id: str,
        target: Any,
        *args: Any,
        metadata: dict[str, Any] | None = None,
        restart: Restart | None = None,
        **kwargs: Any,
    ) -> Job:
        """Start a child at a time (without a time zone: local time). See :meth:`start_child_in`."""
        refuse_in_event_loop()
        return self.jobs.start_child_at(when, ChildSpec(child_id, target, args, kwargs, metadata or {}, restart))

    def cron(
        self, cron: str, target: Any, *args: Any, name: str | None = None, child_id: str | None = None, **kwargs: Any
    ) -> None:
        """Run a function by the clock: ``hub.cron("0 9 * * *", report, "daily")``, at the top of the app's module.

        However many workers there are, each tick is enqueued once. The fields are those of cron, in local time. ``target``
        is a function as for :meth:`enqueue` (with ``key=...`` or resumable, too), or, with ``child_id``, what
        :meth:`start_child` starts; a child that is still there is left alone. ``name`` must be unique in the hub; by
        default it is the child's id or the function's name.

        Raises :class:`~hubq.errors.ConfigError`.
        """
        self.jobs.cron(cron, target, args, kwargs, name, child_id)

    @property
    def has_cron(self) -> bool:
        """Whether there are cron entries."""
        return self._made is not None and bool(self._made.crons)

    def start_clock(self) -> None:
        """Start what runs scheduled jobs and cron, if this hub has not got it yet. Scheduling a job does so, and so does
        ``hubq worker`` where there are cron entries or job processes.
        """
        self.jobs.start_clock()

    def clock(self) -> str:
        """The node that runs the clock. Raises :class:`~hubq.errors.NoClock`: what is scheduled waits."""
        return self.jobs.clock()

    def resumable_job(self, job_id: str) -> ResumableJob:
        """A resumable job by its id: its ``status``, ``result(timeout)`` and ``cancel()``."""
        return ResumableJob(self.driver.of(job_id), job_id)

    def job_progress(self, job: Job | ResumableJob | str) -> Progress | None:
        """What a job of any kind has told of its progress; give the job, or its id. None: nothing yet.

        Raises :class:`~hubq.errors.NoSuchJob`.
        """
        job_id = _id_of(job)
        known, line = (False, None) if isinstance(job, ResumableJob) else self.jobs.told(job_id)
        return read_progress(line) if known else self.driver.drive(progress_of_child(self.driver.context, job_id))

    @overload
    def job(self, function: Callable[P, R_co]) -> JobFunction[P, R_co]: ...

    @overload
    def job(
        self, function: None = None, *, resumable: Literal[True], **options: Any
    ) -> Callable[[Callable[..., R_co]], ResumableFunction[R_co]]: ...

    @overload
    def job(
        self, function: None = None, *, resumable: Literal[False] = False, **options: Any
    ) -> Callable[[Callable[P, R_co]], JobFunction[P, R_co]]: ...

    def job(self, function: Any = None, *, resumable: bool = False, **options: Any) -> Any:
        """Give a function ``.enqueue(...)``, ``.delay(...)``, ``.enqueue_in(...)`` and ``.enqueue_at(...)``, as
        ``rq.decorators.job`` does. ``options`` are RQ's, for every job of the function; each call may override them.

        ``resumable=True``: the function is ``async def`` and takes a context first; it runs as a child, so a deploy moves it
        and it goes on from ``ctx.state``. Its ``.enqueue(...)`` answers with a handle (:meth:`resumable_job`).
        """

        def mark(it: Any) -> Any:
            def enqueue(*args: Any, **kwargs: Any) -> Any:
                return self.enqueue(it, *args, **kwargs)

            def enqueue_in(delay: timedelta | float, *args: Any, **kwargs: Any) -> Any:
                return self.enqueue_in(delay, it, *args, **kwargs)

            def enqueue_at(when: datetime, *args: Any, **kwargs: Any) -> Any:
                return self.enqueue_at(when, it, *args, **kwargs)

            if resumable:
                self.jobs.make_resumable(it)
            self.register_job(it)
            it.hubq_job_options = {
                ("job_timeout" if name == "timeout" else name): value for name, value in options.items()
            }
            it.enqueue = it.delay = enqueue
            it.enqueue_in, it.enqueue_at = enqueue_in, enqueue_at
            return it

        return mark if function is None else mark(function)


class AsyncJobMethods:
    """The same for :class:`~hubq.client.aio.AsyncHub`."""

    def __init__(self, driver: AsyncDriver, waiting: JobMethods) -> None:
        self.driver = driver
        self._waiting = waiting

    def resumable_job(self, job_id: str) -> AsyncResumableJob:
        """See :meth:`Hub.resumable_job`; all of it awaits (``await job.status()``)."""
        return AsyncResumableJob(self.driver.of(job_id), job_id)

    async def job_progress(self, job: Job | AsyncResumableJob | str) -> Progress | None:
        """See :meth:`Hub.job_progress`."""
        job_id = _id_of(job)
        if not isinstance(job, AsyncResumableJob):
            known, line = await asyncio.to_thread(self._waiting.jobs.told, job_id)
            if known:
                return read_progress(line)
        return await self.driver.drive(progress_of_child(self.driver.context, job_id))

    @overload
    async def enqueue(self, function: ResumableFunction[object], *args: Any, **kwargs: Any) -> AsyncResumableJob: ...

    @overload
    async def enqueue(self, function: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> QueuedJob: ...

    async def enqueue(self, function: Any, *args: Any, **kwargs: Any) -> QueuedJob | AsyncResumableJob:
        """See :meth:`Hub.enqueue`. (RQ waits for Redis; it does so in a thread.)"""
        job: QueuedJob | ResumableJob = await asyncio.to_thread(self._waiting.jobs.enqueue, function, args, kwargs)
        return self.resumable_job(job.id) if isinstance(job, ResumableJob) else job

    async def enqueue_in(self, delay: timedelta | float, function: Any, *args: Any, **kwargs: Any) -> QueuedJob:
        """See :meth:`Hub.enqueue_in`."""
        return await asyncio.to_thread(self._waiting.enqueue_in, delay, function, *args, **kwargs)

    async def enqueue_at(self, when: datetime, function: Any, *args: Any, **kwargs: Any) -> QueuedJob:
        """See :meth:`Hub.enqueue_at`."""
        return await asyncio.to_thread(self._waiting.enqueue_at, when, function, *args, **kwargs)

    async def start_child_in(
        self, delay: timedelta | float, child_id: str, target: Any, *args: Any, **kwargs: Any
    ) -> Job:
        """See :meth:`Hub.start_child_in`."""
        return await asyncio.to_thread(self._waiting.start_child_in, delay, child_id, target, *args, **kwargs)

    async def start_child_at(self, when: datetime, child_id: str, target: Any, *args: Any, **kwargs: Any) -> Job:
        """See :meth:`Hub.start_child_at`."""
        return await asyncio.to_thread(self._waiting.start_child_at, when, child_id, target, *args, **kwargs)
