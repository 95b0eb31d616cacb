"""``hubq jobs``: the jobs that are queued, running, scheduled or failed."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import duration, print_json, print_table, say
from hubq.cli.reachable import of_those_that_answer
from hubq.core.wording import counted
from hubq.errors import ConfigError

if TYPE_CHECKING:
    from hubq.jobs.overview import JobsOverview


def took(started: str, ended: str) -> str:
    """How long a job has worked, or has been working for.

    >>> took("2026-05-04T09:00:00+00:00", "2026-05-04T09:02:05+00:00"), took("", "")
    ('2m', '-')
    """
    if not started:
        return "-"
    until = datetime.fromisoformat(ended) if ended else datetime.now(UTC)
    return duration(max(0.0, (until - datetime.fromisoformat(started)).total_seconds()))


def jobs_command(
    hub: HubName,
    state: Annotated[
        str | None,
        typer.Option(help="Only jobs in this state: queued, started, scheduled, deferred, failed, finished, canceled."),
    ] = None,
    idle: Annotated[bool, typer.Option("--idle", help="Show keys without waiting jobs, too.")] = False,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, help="Show at most this many of each kind and state.")
    ] = 100,
    as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:
    """List the jobs of a hub: RQ's queue, keys with their waiting jobs, and resumable jobs."""
    from hubq.jobs.names import CLOCK  # here, so that other commands do not import rq
    from hubq.jobs.overview import ALL_STATES, overview

    if state is not None and state not in ALL_STATES:
        raise ConfigError(f"--state {state!r} is not a state of jobs: give one of {', '.join(ALL_STATES)}")
    opened = open_hub(hub, redis)
    with of_those_that_answer(opened) as away:
        seen = overview(opened, state=state, idle=idle, most=count)
        if as_json:
            print_json(asdict(seen))
        else:
            _print(seen, clock_known=opened.driver.context.group_of(CLOCK) not in away)


def _print(seen: JobsOverview, clock_known: bool) -> None:
    numbers = ", ".join(f"{number} {what}" for what, number in seen.counts.items() if number) or "nothing"
    clock = f"the clock on {seen.clock}" if seen.clock else "no clock" if clock_known else "the clock is not known"
    say(f"queue {seen.queue}: {numbers}; {counted(len(seen.workers), 'RQ worker', 'RQ workers')}; {clock}")
    if seen.jobs:
        print()
        told = any(job.progress for job in seen.jobs)
        print_table(
            ("kind", "job", "function", "state", "at", "took", "node", "waiting", *(("progress",) if told else ()), "reason"),
            [
                (
                    job.kind, job.id, job.function or "-", job.state, job.at or "-", took(job.started, job.ended), job.node or "-",
                    job.waiting if job.kind == "key" else "-", *((job.progress or "-",) if told else ()), job.reason or "-",
                )
                for job in seen.jobs
            ],
        )  # fmt: skip
