"""Resumable jobs: ``async def`` functions that run once, and go on where they were when they move.

Such a job is a function child (:class:`~hubq.core.child.FunctionChild`) that keeps its own account of tries and time in its
state, and ends itself. Its outcome is committed first, which only the owner of its shard can do, and published then; both may
be repeated.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
import traceback
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from rq.defaults import DEFAULT_FAILURE_TTL, DEFAULT_RESULT_TTL
from rq.job import Retry
from rq.utils import parse_timeout

from hubq.client import operations
from hubq.client.asking.calling import Doing, set_handling
from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_child
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.current import current_hub
from hubq.core.child import FunctionChild, State
from hubq.core.progress import progress_of, written
from hubq.core.spec import ChildSpec
from hubq.errors import AlreadyStarted, ConfigError, HubqError, InvalidJob, NotSendable, RedisUnavailable
from hubq.jobs.checks import DuplicateJob, checked_function, translated
from hubq.jobs.names import MARK
from hubq.node.runtime.raised import in_short
from hubq.store.results import About, forget_result, keep_result, read_result
from hubq.store.values import Values

if TYPE_CHECKING:
    from hubq.client.hub import Hub

log = logging.getLogger("hubq.jobs")

#: RQ's options that a resumable job has, under RQ's names.
KNOWN = ("job_timeout", "result_ttl", "failure_ttl", "retry", "job_id", "meta", "unique")
#: RQ's options that it does not have.
UNKNOWN = (
    "key", "depends_on", "at_front", "repeat", "rate_limit", "pipeline", "on_success", "on_failure", "on_stopped", "ttl",
    "webhooks", "description",
)  # fmt: skip
#: Pause before another try when Redis did not answer, seconds.
PAUSE = 0.5


class Terms(msgspec.Struct, frozen=True, array_like=True):
    """The terms of a start: time limit of one try (None: none), how long results are kept (-1: for ever), retries."""

    timeout: float | None
    result_ttl: int
    failure_ttl: int
    retries: int
    intervals: tuple[float, ...]


class JobTimeout(HubqError, TimeoutError):
    """A try took longer than its time limit."""


class ResumableRun(FunctionChild):
    """A resumable job on its node; ``ctx`` of the function."""

    transient: ClassVar[tuple[str, ...]] = ("_args", "_kwargs", "_terms", "_began", "_kept")
    outcome: tuple[str, bytes] | None

    def __init__(self, terms: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__(*args, **kwargs)
        self._terms = msgspec.json.decode(terms, type=Terms)
        self._began = 0.0
        self._kept = b""
        self.tries = 0
        self.spent = 0.0  # of this try, seconds, wherever it ran
        self.retry_at = 0.0
        self.outcome = None
        self.started_at = 0.0
        self.told = ""
        """Its last progress, as it stands in Redis."""

    async def commit(self) -> None:
        """Save the state now; returns when it is in Redis. A retry begins from here."""
        self._account()
        kept = _values().encode_any(self.state)
        await super().commit()
        self._kept = kept

    def progress(self, done: float, total: float | None = None, text: str = "") -> None:
        """Tell people how far the job is. See :meth:`hubq.Child.progress`."""
        super().progress(done, total, text)
        self.told = written(progress_of(done, total, text, time.time()))

    async def run(self) -> None:
        """Try until there is an outcome; commit it; publish it."""
        self._kept = _values().encode_any(self.state)
        name = type(self).__name__
        set_handling(Doing(method=name, job_id=self.child_id))
        self.started_at = self.started_at or time.time()
        if self.outcome is None:
            log.info("job %s %s: %s", self.child_id, name, "goes on" if self.tries or self.spent else "received")
        while self.outcome is None:
            if (wait := self.retry_at - time.time()) > 0:
                await asyncio.sleep(wait)
            await self._try()
        await super().commit()
        if self.outcome[0] == "finished":
            log.info("job %s %s: done in %.2f s", self.child_id, name, self.spent)
        await self._publish(*self.outcome)

    async def _try(self) -> None:
        limit = self._terms.timeout
        self._began = time.monotonic()
        try:
            async with asyncio.timeout(None if limit is None else max(0.0, limit - self.spent)) as clock:
                args, kwargs = _values().typed(type(self).function, self._args, self._kwargs, 1)
                value = await type(self).function(self, *args, **kwargs)
            self.outcome = ("finished", self._encoded(value))
            self._account()
            self.state = State()  # nobody needs it any more
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                self._account()
                raise  # it moves, or is canceled
            await self._failed(error)
        except Exception as error:
            if isinstance(error, TimeoutError) and clock.expired():
                error = JobTimeout(f"it took longer than its time limit of {limit:g} s")
            await self._failed(error)

    async def _failed(self, error: BaseException) -> None:
        self.tries += 1
        self._account()
        left = self._terms.retries + 1 - self.tries
        log.error(
            "job %s %s: failed after %.2f s%s: %s", self.child_id, type(self).__name__, self.spent,
            f"; tries left: {left}" if left else "", in_short(error), exc_info=error,
        )  # fmt: skip
        self.spent = 0.0
        state = State(_values().decode_any(self._kept))
        if self.tries > self._terms.retries:
            trace = "".join(traceback.format_exception(error))
            self.outcome, self.state = (
                ("failed", _told(type(error).__name__, str(error) or repr(error), trace)),
                State(),
            )
            return
        intervals = self._terms.intervals
        # As RQ: the last intervals are for the last retries.
        interval = intervals[max(len(intervals) - (self._terms.retries - self.tries + 1), 0)] if intervals else 0.0
        self.state, self.retry_at = state, time.time() + interval
        self._began = 0.0
        await super().commit()

    def _account(self) -> None:
        if self._began:
            now = time.monotonic()
            self.spent, self._began = self.spent + now - self._began, now

    def _encoded(self, value: object) -> bytes:
        try:
            return _values().encode(value, type(self).function)
        except Exception as error:
            how = "be pickled" if _values().codec == "pickle" else "be sent as data"
            raise NotSendable(f"the result cannot {how} ({error}): return plain values") from error

    async def cancel(self) -> None:
        """End it where it stands (the handle's ``cancel()``)."""
        if self.outcome is None:
            await self._publish("canceled", _told("", "", ""))
        self.stop()

    async def _publish(self, status: str, payload: bytes) -> None:
        seal = current_hub().driver.context.seal
        if seal is not None:
            payload = seal.for_all(payload, "result", self.child_id, status)
        ttl = self._terms.result_ttl if status == "finished" else self._terms.failure_ttl
        while True:
            try:
                about = About(type(self).__name__, self.started_at, time.time(), self.told)
                await current_hub().aio.driver.drive(
                    _keep(current_hub().driver.context, self.child_id, status, payload, ttl, about)
                )
                return
            except RedisUnavailable as error:
                log.warning("the result of job %s waits: %s", self.child_id, error)
            await asyncio.sleep(PAUSE)


def _values() -> Values:
    return current_hub().driver.context.values


def _told(kind: str, message: str, trace: str) -> bytes:
    fields = {"type": kind, "message": message, "traceback": trace}
    return msgspec.json.encode({name: text.encode("utf-8", "replace").decode() for name, text in fields.items()})


@of_child
def _keep(hub: HubContext, job_id: str, status: str, payload: bytes, ttl: int, about: About) -> Operation[None]:
    yield Fetch([keep_result(hub.keys, job_id, status, payload, -1 if ttl < 0 else ttl * 1000, about)])


# -- the start ---------------------------------------------------------------------------------------------------------


def make_resumable(hub: Hub, function: Any) -> None:
    """Make a function known to the hub as a resumable job."""
    if not inspect.iscoroutinefunction(function):
        raise ConfigError(f"{function!r} cannot be resumable: give an `async def` function that takes a context first")
    checked_function(function)
    members = {"function": staticmethod(function), "__module__": function.__module__}
    function.hubq_child_class = type(function.__name__, (ResumableRun,), members)
    hub.classes.register(function)


def spec_of(hub: Hub, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[ChildSpec, bool]:
    """The child to start, and whether its id must be new, or :class:`~hubq.errors.InvalidJob`."""
    for name in UNKNOWN:
        if kwargs.get(name) is not None:
            raise InvalidJob(f"a resumable job has no {name}={kwargs[name]!r}: it has {', '.join(KNOWN)}")
    options = {name: kwargs.pop(name, None) for name in KNOWN}
    if "args" in kwargs or "kwargs" in kwargs:
        if args:
            raise InvalidJob("give the arguments of the function, or args=(...) and kwargs={...}, not both")
        args, kwargs = tuple(kwargs.get("args") or ()), dict(kwargs.get("kwargs") or {})
    if options["unique"] and options["job_id"] is None:
        raise InvalidJob("unique=True wants a job_id: give the id that must be the only one")
    with translated(hub.server):
        terms = _terms(options)
    job_id = options["job_id"] or f"{function.__name__}-{uuid.uuid4().hex}"
    arguments = (msgspec.json.encode(terms), args, kwargs)
    return ChildSpec(
        job_id, function, arguments, metadata={**dict(options["meta"] or {}), MARK[0]: MARK[1]}, restart="transient"
    ), bool(options["unique"])


def _terms(options: dict[str, Any]) -> Terms:
    retry: Retry | None = options["retry"]
    if retry is not None and not isinstance(retry, Retry):
        raise ValueError(f"retry={retry!r}: give rq.Retry(max=...)")
    timeout = parse_timeout(options["job_timeout"])
    if timeout == 0:
        raise ValueError("0 timeout is not allowed: give seconds, or leave it out for none")
    ttls = [parse_timeout(options[name]) for name in ("result_ttl", "failure_ttl")]
    result_ttl, failure_ttl = (
        default if ttl is None else ttl
        for ttl, default in zip(ttls, (DEFAULT_RESULT_TTL, DEFAULT_FAILURE_TTL), strict=True)
    )
    return Terms(
        None if timeout is None or timeout < 0 else float(timeout), int(result_ttl), int(failure_ttl),
        retry.max if retry else 0, tuple(float(each) for each in retry.intervals) if retry else (),
    )  # fmt: skip


def start(hub: Hub, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Start a resumable job; its id."""
    spec, unique = spec_of(hub, function, args, kwargs)
    hub.driver.drive(_begin(hub.driver.context, spec.child_id, spec, unique))
    return spec.child_id


@of_child
def _begin(hub: HubContext, job_id: str, spec: ChildSpec, unique: bool) -> Operation[None]:
    (kept,) = yield Fetch([read_result(hub.keys, job_id)])
    if kept is not None and unique:
        raise DuplicateJob(f"job {job_id!r} exists already: its result is still kept")
    if kept is not None:
        yield Fetch([forget_result(hub.keys, job_id)])
    ticket = yield from operations.start_children(hub, [spec], on_failure="continue")
    for error in ticket.errors.values():
        if isinstance(error, AlreadyStarted):
            raise DuplicateJob(f"job {job_id!r} exists already: it runs, or waits") from error
        raise error
