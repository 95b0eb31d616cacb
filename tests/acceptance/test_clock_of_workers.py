"""Cron with real workers: each second once, with the clock's node killed in the middle."""

from __future__ import annotations

import signal
import time
from itertools import pairwise

import pytest
import redis
from rq.cron import get_cron_job_ids

from hubq import Hub, NoClock
from hubq.core.job_names import name_in_rq

from .conftest import Shell
from .waiting import soon

pytestmark = pytest.mark.acceptance


def clock_of(hub: Hub) -> str:
    try:
        return hub.clock()
    except NoClock:
        return ""


@pytest.mark.long
def test_the_clock_is_taken_over_and_no_tick_is_there_twice(shell: Shell, hub: Hub) -> None:
    shell.environment["HUBQ_TEST_CRON"] = "1"
    client = redis.Redis.from_url(shell.environment["HUBQ_REDIS_URL"])
    workers = {name: shell.spawn("jobs_app:hub", "--name", name, "--jobs", "1") for name in "abc"}
    for name, worker in workers.items():
        worker.wait_line(f"hubq worker {name}: ")

    def ticks() -> list[int]:
        ids = get_cron_job_ids(name_in_rq(hub.hub_id, f"cron-{hub.hub_id}"), client)
        return [int(job_id.rpartition("-")[2]) for job_id in reversed(ids)]

    soon(lambda: len(ticks()) >= 2, "two ticks")
    leader = hub.clock()
    before, killed = len(ticks()), time.monotonic()
    workers[leader].signal(signal.SIGKILL)
    soon(lambda: len(ticks()) >= before + 2, "ticks from another node")
    print(f"ticks again {time.monotonic() - killed:.1f} s after the kill of the clock's node (lease 2 s)")
    assert soon(lambda: clock_of(hub), "a clock") in set(workers) - {leader}
    found = ticks()
    assert found == sorted(set(found)), "each second at most once, in order"
    assert max(b - a for a, b in pairwise(found)) <= 20
    soon(lambda: client.llen(f"notes:{hub.hub_id}") >= before, "the jobs have run")
    ran = client.llen(f"notes:{hub.hub_id}")
    assert ran <= len(ticks())
    client.close()


@pytest.mark.long
def test_job_workers_alone_say_that_nobody_runs_the_clock(shell: Shell, hub: Hub) -> None:
    shell.environment["HUBQ_TEST_CRON"] = "1"
    worker = shell.spawn("jobs_app:hub", "--name", "a", "--jobs-only")
    worker.wait_line(rf"ERROR nobody runs the clock of hub '{hub.hub_id}' .*start a worker that hosts children")
    with pytest.raises(NoClock):
        hub.clock()
    said = shell.run("doctor", "jobs_app:hub").stdout
    assert "no clock: 0 jobs are scheduled, there are 1 cron entries, and nobody runs the clock" in said
    other = shell.spawn("jobs_app:hub", "--name", "b")
    other.wait_line("hubq worker b: ")
    soon(lambda: clock_of(hub) == "b", "the clock runs")
