"""``hubq jobs``: the jobs that are queued, running, scheduled or failed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import print_json, print_table, say
from hubq.errors import ConfigError


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
    from hubq.jobs.overview import ALL_STATES, overview  # here, so that other commands do not import rq

    if state is not None and state not in ALL_STATES:
        raise ConfigError(f"--state {state!r} is not a state of jobs: give one of {', '.join(ALL_STATES)}")
    seen = overview(open_hub(hub, redis), state=state, idle=idle, most=count)
    if as_json:
        print_json(asdict(seen))
        return
    counted = ", ".join(f"{number} {what}" for what, number in seen.counts.items() if number) or "nothing"
    clock = f"the clock on {seen.clock}" if seen.clock else "no clock"
    say(f"queue {seen.queue}: {counted}; {len(seen.workers)} RQ workers; {clock}")
    if seen.jobs:
        print()
        print_table(
            ("kind", "job", "function", "state", "at", "node", "waiting", "reason"),
            [
                (
                    job.kind, job.id, job.function or "-", job.state, job.at or "-", job.node or "-",
                    job.waiting if job.kind == "key" else "-", job.reason or "-",
                )
                for job in seen.jobs
            ],
        )  # fmt: skip
