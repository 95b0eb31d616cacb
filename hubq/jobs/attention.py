"""The findings of ``hubq doctor`` about jobs. Reads RQ's counts itself: a hub without jobs does not pay for importing rq."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubq.core.facts import Finding
from hubq.core.job_names import clock_queue_name, queue_name
from hubq.errors import ConfigError, RedisRefused, UnknownChild
from hubq.jobs.names import CLOCK
from hubq.store.command import plain
from hubq.store.connection import SyncRedis

if TYPE_CHECKING:
    from hubq.client.hub import Hub


@dataclass(frozen=True, slots=True)
class JobFacts:
    """Jobs queued and scheduled, RQ workers, cron entries of the app, and whether a node runs the clock."""

    queued: int = 0
    scheduled: int = 0
    workers: int = 0
    crons: int = 0
    clock: bool = False


def findings(facts: JobFacts) -> list[Finding]:
    """What is wrong with the jobs of a hub.

    >>> [finding.topic for finding in findings(JobFacts(queued=1, scheduled=2, workers=1))]
    ['no clock']
    >>> findings(JobFacts(queued=1, scheduled=2, workers=1, crons=1, clock=True)), findings(JobFacts())
    ([], [])
    """
    found = []
    if (facts.scheduled or facts.crons) and not facts.clock:
        what = f"{facts.scheduled} jobs are scheduled" + (
            f", there are {facts.crons} cron entries" if facts.crons else ""
        )
        found.append(
            Finding(
                "no clock",
                f"{what}, and nobody runs the clock: all of it waits",
                "start a worker that hosts children (hubq worker without --jobs-only)",
            )
        )
    if facts.queued and not facts.workers:
        found.append(
            Finding(
                "no job worker",
                f"{facts.queued} jobs are queued, and no RQ worker works on them",
                "start one: hubq worker module:hub --jobs 2",
            )
        )
    return found


def look(hub: Hub) -> list[Finding]:
    """What is wrong with the jobs of this hub. Nothing is said where RQ's keys may not be read."""
    try:
        return findings(_gather(hub))
    except RedisRefused:
        return []
    except ConfigError as error:  # on a Redis Cluster, and none for jobs
        return (
            [Finding("no Redis for jobs", str(error), "give it, or take cron out of the app")] if hub.has_cron else []
        )


def _gather(hub: Hub) -> JobFacts:
    name, clock = queue_name(hub.hub_id), clock_queue_name(hub.hub_id)
    redis = SyncRedis(hub.jobs_server)
    try:
        queued, later, clock_later, workers = redis.run_many(
            [
                plain("LLEN", f"rq:queue:{name}", read=int),
                plain("ZCARD", f"rq:scheduled:{name}", read=int),
                plain("ZCARD", f"rq:scheduled:{clock}", read=int),
                plain("SMEMBERS", f"rq:workers:{name}", read=_queue_workers),
            ]
        )
    finally:
        redis.close()
    return JobFacts(queued, later + clock_later, workers, len(hub.jobs.crons) if hub.has_cron else 0, _has_clock(hub))


def _queue_workers(names: Iterable[bytes]) -> int:
    return sum(b".key-" not in bytes(name) for name in names)  # workers of keyed jobs take none from the queue


def _has_clock(hub: Hub) -> bool:
    try:
        node = hub.where(CLOCK).node
    except UnknownChild:
        return False
    return any(each.name == node and each.lease > 0 for each in hub.nodes())
