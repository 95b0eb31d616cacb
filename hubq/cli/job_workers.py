"""``hubq worker --jobs`` and ``--jobs-only``."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from hubq.cli.signals import on_first_signal
from hubq.errors import ConfigError, NoClock

if TYPE_CHECKING:
    from hubq.client.hub import Hub
    from hubq.jobs.processes import JobProcesses

log = logging.getLogger("hubq.worker")


def checked_jobs(jobs: int, jobs_only: bool, children_only: bool) -> int:
    """The number of job processes. :class:`~hubq.errors.ConfigError` if the options contradict one another.

    >>> checked_jobs(0, True, False)
    1
    """
    if jobs_only and children_only:
        raise ConfigError("--jobs-only and --children-only contradict each other: give one of them")
    if children_only and jobs:
        raise ConfigError(f"--children-only and --jobs {jobs} contradict each other: leave one out")
    return max(jobs, 1) if jobs_only else jobs


def see_to_the_clock(hub: Hub, jobs: int) -> None:
    """Start the hub's clock if the app has cron entries or the worker runs jobs, which may be retried later."""
    if jobs or hub.has_cron:
        hub.start_clock()


async def serve_jobs(hub: Hub, name: str, processes: JobProcesses, drain_timeout: float) -> int:
    """Run job processes until a signal comes. Returns 1 if one of them did not end in time."""
    asked = on_first_signal(name, "takes no more jobs")
    await asyncio.to_thread(see_to_the_clock, hub, processes.count)  # raises at once if Redis cannot be reached
    processes.start()
    try:
        await asyncio.to_thread(hub.clock)
    except NoClock as error:
        log.error("%s", error)
    log.info(
        "hubq worker %s: %d job processes for hub %s at %s, queue %s, pid %d",
        name, processes.count, hub.hub_id, hub.groups.address, hub.queue_name, os.getpid(),
    )  # fmt: skip
    await asked.wait()
    done = await processes.stop(drain_timeout)
    log.info("worker %s has left", name)
    return 0 if done else 1
