"""The jobs of a hub: those of its RQ queue, keys and the jobs that wait for them, resumable jobs. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

from rq import Queue, Worker
from rq.job import Job
from rq.registry import BaseRegistry, ScheduledJobRegistry

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import added, of_all
from hubq.client.asking.reachable import away_here
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.results import ChildStatus
from hubq.core.job_names import clock_queue_name
from hubq.core.progress import Progress, read_progress
from hubq.errors import InvalidJob, NoClock
from hubq.jobs.checks import translated
from hubq.jobs.names import CLOCK, MARK, PREFIX
from hubq.jobs.queued_job import QueuedJob
from hubq.store.command import plain, text
from hubq.store.progress import JOB_FIELD
from hubq.store.results import Kept, read_result
from hubq.store.waiting_jobs import jobs_length

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: States of RQ's jobs, in the order in which they are shown.
STATES = ("queued", "started", "scheduled", "deferred", "failed", "finished")
#: The states that are listed if none is asked for. (Finished jobs are many, and need no attention.)
PRESSING = STATES[:-1]
#: All states by which one may ask.
ALL_STATES = (*STATES, "canceled")
#: The states of jobs that have ended.
ENDED = ("failed", "finished", "canceled")


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job, or a key with all jobs that wait for it.

    ``kind``: "queue" (RQ's), "clock" (what the hub's clock itself will run), "key" or "resumable". ``id``: of the job; for a
    key that of its child, ``job:<key>``. ``state``: as RQ has it; a key is "started" while something waits for it, else "idle".
    ``at``: since when (enqueued, started, ended), or for when (scheduled); ISO 8601, empty if unknown. ``node``: where a key or
    a resumable job is; RQ's worker for a started job. ``waiting``: jobs that wait for the key. ``reason``: why it failed.
    ``started``, ``ended``: when its work began and ended; ISO 8601, empty if that is not yet, or unknown. ``progress``: what it
    has told of it (docs/guide-progress.md).
    """

    kind: str
    id: str
    function: str
    state: str
    at: str = ""
    node: str = ""
    waiting: int = 0
    reason: str = ""
    started: str = ""
    ended: str = ""
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class JobsOverview:
    """``counts``: of RQ's jobs by state, of "keys" and of "resumable" ones that have not ended, and of those that children have
    enqueued and that are not in RQ yet ("waiting"); ``workers``: RQ's workers at the
    queue; ``clock``: the node that runs the clock, None if nobody does, or if that is not known since its group is left out.
    """

    queue: str
    counts: dict[str, int]
    workers: list[str]
    clock: str | None
    jobs: list[JobLine] = field(default_factory=list)


def overview(hub: Hub, *, state: str | None = None, idle: bool = False, most: int = 100) -> JobsOverview:
    """What jobs there are: at most ``most`` of each kind and state; ``idle``: keys for which nothing waits, too.

    Raises :class:`~hubq.errors.InvalidJob` for a state there is none of, :class:`~hubq.errors.RedisUnavailable`.
    """
    states = PRESSING if state is None else (state,)
    seen = of_queues(hub, state, most)
    lines, counts = seen.jobs, seen.counts
    keys, resumable = [], []
    for child in hub.iter_children():
        if child.child_id.startswith(PREFIX):
            keys.append(child)
        elif child.metadata.get(MARK[0]) == MARK[1]:
            resumable.append(child)
    waiting = hub.driver.drive(_waiting(hub.driver.context))
    counts |= {"keys": len(keys), "resumable": len(resumable), "waiting": waiting}
    if state in (None, "started"):
        busy = sorted(keys, key=lambda key: (-key.backlog, key.child_id))
        lines += [key_line(child) for child in busy if child.backlog or idle][:most]
    lines += [line for line in map(resumable_line, resumable) if line.state in states][:most]
    if state is None or state in ENDED:
        ended = hub.driver.drive(_ended(hub.driver.context, {child.child_id for child in resumable}))
        lines += [line for line in ended if line.state in states][:most]
    return JobsOverview(seen.queue, counts, seen.workers, seen.clock, lines)


def of_queues(hub: Hub, state: str | None = None, most: int = 100) -> JobsOverview:
    """The same of RQ's jobs alone: those of the hub's queue and of its clock. No child is looked at."""
    if state is not None and state not in ALL_STATES:
        raise InvalidJob(f"no job is ever {state!r}: give one of {', '.join(ALL_STATES)}")
    states = PRESSING if state is None else (state,)
    with translated(hub.jobs_server):
        queue = hub.rq_queue
        clock_queue = Queue(clock_queue_name(hub.hub_id), connection=queue.connection, serializer=queue.serializer)
        counts = {each: _count(queue, each) for each in STATES}
        counts["scheduled"] += _count(clock_queue, "scheduled")
        lines = [line for each in states for line in _of_queue(queue, "queue", each, most)]
        lines += [line for each in states for line in _of_queue(clock_queue, "clock", each, most) if each != "failed"]
        workers = sorted(worker.name for worker in Worker.all(queue=queue))
    return JobsOverview(hub.queue_name, counts, workers, _clock(hub), lines)


def _clock(hub: Hub) -> str | None:
    """The node that runs the clock. None: nobody does, or its group is left out."""
    away = away_here()
    if away is not None:
        hub.nodes()  # of all groups at once, so that those which are away are known, and waited for together
        if hub.driver.context.group_of(CLOCK) in away:
            return None
    try:
        return hub.clock()
    except NoClock:
        return None


def _registry(queue: Queue, state: str) -> BaseRegistry:
    registry: BaseRegistry = getattr(queue, f"{state}_job_registry")
    return registry


def _count(queue: Queue, state: str) -> int:
    if state == "queued":
        return queue.count
    registry = _registry(queue, state)
    return int(queue.connection.zcard(registry.key))  # not get_job_count(): that cleans up


def _of_queue(queue: Queue, kind: str, state: str, most: int) -> Iterator[JobLine]:
    ids = (
        queue.get_job_ids(0, most)
        if state == "queued"
        else _registry(queue, state).get_job_ids(0, most - 1, cleanup=False)  # cleaning up is for RQ's workers
    )
    with queue.connection.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            pipeline.hget(Job.key_for(job_id), JOB_FIELD)
        told = pipeline.execute()
    for job, progress in zip(
        QueuedJob.fetch_many(ids, queue.connection, serializer=queue.serializer), told, strict=True
    ):
        if job is not None:
            yield JobLine(
                kind, job.id, _function_of(job), state, _moment(_at(queue, job, state)), job.worker_name or "",
                reason=_reason(job) if state == "failed" else "", started=_moment(job.started_at),
                ended=_moment(job.ended_at) if state in ENDED else "", progress=read_progress(progress),
            )  # fmt: skip


def _function_of(job: Job) -> str:
    try:
        return job.func_name or ""
    except Exception:  # what RQ kept of it cannot be read here
        return "?"


def _at(queue: Queue, job: Job, state: str) -> datetime | None:
    if state == "scheduled":
        return ScheduledJobRegistry(queue=queue).get_scheduled_time(job)
    return job.started_at if state == "started" else job.ended_at if state in ENDED else job.enqueued_at


def _reason(job: Job) -> str:
    result = job.latest_result()
    lines = str(result.exc_string if result is not None else "").strip().splitlines()
    return lines[-1] if lines else ""


def _moment(at: datetime | None) -> str:
    if at is None:
        return ""
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")


def key_line(child: ChildStatus) -> JobLine:
    """The child of a key."""
    state = "started" if child.backlog else "idle"
    return JobLine("key", child.child_id, "", state, node=child.node or "", waiting=child.backlog, reason=child.reason)


def resumable_line(child: ChildStatus) -> JobLine:
    """The child of a resumable job that has not ended."""
    state = "started" if child.node is not None else "queued"
    return JobLine(
        "resumable", child.child_id, child.kind, state, node=child.node or "", reason=child.reason, progress=child.progress
    )  # fmt: skip


@of_all(added)
def _waiting(hub: HubContext) -> Operation[int]:
    """How many jobs of children are not in RQ yet."""
    return sum((yield Fetch([jobs_length(hub.keys, shard) for shard in hub.shards])))


def _all_ended(answers: Sequence[list[JobLine]]) -> list[JobLine]:
    return list(chain.from_iterable(answers))


@of_all(_all_ended)
def _ended(hub: HubContext, running: set[str]) -> Operation[list[JobLine]]:
    """Resumable jobs whose outcome is kept."""
    start = hub.keys.result("")
    found: list[str] = []
    cursor: Any = "0"
    while True:
        (answer,) = yield Fetch(
            [plain("SCAN", cursor, "MATCH", f"{start}*", "COUNT", 1000, read=lambda answer: answer)]
        )
        cursor = text(answer[0])
        found += [text(key).removeprefix(start) for key in answer[1]]
        if cursor == "0":
            break
    names = sorted(set(found) - running)
    kept = yield Fetch([read_result(hub.keys, name) for name in names]) if names else Fetch([])
    return [_of_result(name, each) for name, each in zip(names, kept, strict=True) if each is not None]


def _of_result(name: str, kept: Kept) -> JobLine:
    about = kept.about
    started, ended = (_seconds(at) for at in (about.started_at, about.ended_at))
    return JobLine(
        "resumable", name, about.function, kept.status, ended, started=started, ended=ended,
        progress=read_progress(about.progress.encode()),
    )  # fmt: skip


def _seconds(at: float) -> str:
    return _moment(datetime.fromtimestamp(at, UTC)) if at else ""
