"""Cron entries, declared in the app."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rq import Queue, get_current_job
from rq.cron import CronJob, CronScheduler

from hubq.client import operations
from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_child
from hubq.client.asking.steps import Collect, Operation, Start
from hubq.client.current import current_hub
from hubq.core.spec import ChildSpec
from hubq.errors import ConfigError, DuplicateJob, Partitioned, StartFailed
from hubq.jobs.checks import checked_function, name_for, own_options
from hubq.jobs.queued_job import QueuedJob
from hubq.jobs.serializer import path_of, registered
from hubq.store.spec_record import SpecRecord

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: RQ's options of a cron job.
OPTIONS = ("job_timeout", "result_ttl", "ttl", "failure_ttl", "meta", "webhooks")
#: RQ's other options of a job: a cron entry would ignore them.
NOT_FOR_CRON = ("job_id", "unique", "depends_on", "at_front", "retry", "repeat", "rate_limit", "pipeline", "on_success",
                "on_failure", "on_stopped", "description")  # fmt: skip


@dataclass(frozen=True, slots=True)
class CronEntry:
    """A line of the crontab."""

    name: str
    cron: str
    queue_name: str
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: dict[str, Any]

    def registered_with(self, scheduler: CronScheduler, name: str) -> CronJob:
        """The entry as RQ's, under this name: RQ's lists have the entries of all hubs."""
        return scheduler.register(
            self.function, self.queue_name, args=self.args, kwargs=self.kwargs, cron=self.cron, name=name,
            **self.options,
        )  # fmt: skip


def entry_of(
    hub: Hub, clock_queue: str, cron: str, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any],
    *, name: str | None, child_id: str | None,
) -> CronEntry:  # fmt: skip
    """A checked entry, or :class:`~hubq.errors.ConfigError`."""
    name = name or child_id or name_for(target)
    given = {**own_options(target), **kwargs} if child_id is None else kwargs
    direct = child_id is None and not hasattr(target, "hubq_child_class") and "key" not in kwargs
    if direct:
        for option in NOT_FOR_CRON:
            if given.get(option) is not None:
                raise ConfigError(f"cron entry {name!r} has no {option}={given[option]!r}: it has {', '.join(OPTIONS)}")
        options = {option: given.pop(option) for option in OPTIONS if option in given}
        entry = CronEntry(name, cron, hub.queue_name, registered_for_cron(hub, target), args, given, options)
    elif child_id is not None:
        record = operations.record_of(ChildSpec(child_id, target, args, kwargs), hub.driver.context.values)
        entry = CronEntry(name, cron, clock_queue, start_from_record, (child_id, record.written()), {}, {})
    else:
        entry = CronEntry(name, cron, clock_queue, enqueue_now, (_carried(hub, target), args, kwargs), {}, {})
    if not isinstance(cron, str):
        raise ConfigError(f"cron={cron!r} of entry {name!r}: give a text of five fields, as in '0 9 * * *'")
    try:
        CronJob(entry.queue_name, func=entry.function if callable(entry.function) else None,
                func_name=entry.function if isinstance(entry.function, str) else None, cron=cron, name=name,
                **entry.options)  # fmt: skip
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"cron={cron!r} of entry {name!r} is refused ({error}): give five fields, as in '0 9 * * *'"
        ) from error
    if isinstance(entry.function, str):
        raise ConfigError(f"cron entry {name!r}: give the function itself, not its path {entry.function!r}")
    return entry


def registered_for_cron(hub: Hub, target: Any) -> Any:
    """The function of an entry: naming it here registers it."""
    function = checked_function(target)
    if not isinstance(function, str):
        hub.register_job(function)
    return function


def _carried(hub: Hub, target: Any) -> Any:
    """How the job of the clock names the function that it enqueues."""
    function = registered_for_cron(hub, target)
    return function if hub.config.codec == "pickle" else path_of(function)


# -- run by the clock itself -------------------------------------------------------------------------------------------


def start_from_record(child_id: str, written: bytes) -> str:
    """Start a child whose spec was written down when it was asked for."""
    hub = current_hub()
    try:
        record = SpecRecord.read(written)
        if record.malformed:
            raise StartFailed(f"child {child_id!r} is not started: its spec is malformed ({record.malformed})")
        return hub.driver.drive(_start(hub.driver.context, child_id, record))
    except Partitioned as error:
        return _again(error)


def _again(error: Partitioned) -> str:
    """A job of the clock that failed for want of a quorum is enqueued again, for a little later."""
    this = get_current_job()
    assert this is not None
    queue = Queue(this.origin, connection=this.connection, job_class=QueuedJob, serializer=this.serializer)
    function = this.func_name or ""
    later = queue.enqueue_in(timedelta(seconds=1), function, args=this.args, kwargs=this.kwargs)
    return f"{error}; {later.id} tries again"


@of_child
def _start(hub: HubContext, child_id: str, record: SpecRecord) -> Operation[str]:
    answers = yield Start({hub.shard_of(child_id): {child_id: record}}, True)
    ((message_id, (word,)),) = answers.values()
    yield Collect([message_id], 0)
    if word.startswith("partitioned"):
        raise Partitioned(f"child {child_id!r} is not started: the hub has no quorum")
    return "started" if word == "ok" else "it exists already"


def enqueue_now(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Enqueue a job with a key, or a resumable one, under the id of the job that does so: twice is once."""
    this = get_current_job()
    assert this is not None
    try:
        hub = current_hub()
        if isinstance(function, str) and hub.config.codec == "data":
            function = registered(hub, function)
        job = hub.enqueue(function, *args, **{"job_id": f"{this.id}-run", "unique": True, **kwargs})
    except DuplicateJob:
        return f"{this.id}-run"
    except Partitioned as error:
        return _again(error)
    return str(job.id)
