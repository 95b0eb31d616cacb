"""A worker is killed while children enqueue jobs: the state of each child and RQ's queue agree exactly."""

from __future__ import annotations

import signal
import sys

import pytest
from rq.job import Job

from hubq import ChildSpec, Hub

from .conftest import APPS, Shell

pytestmark = pytest.mark.acceptance

TILLS = [f"till-{number}" for number in range(12)]
EACH = 40


def test_each_message_has_its_job_once_though_a_worker_is_killed(
    shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HUBQ_TEST_HUB", "HUBQ_REDIS_URL"):
        monkeypatch.setenv(name, shell.environment[name])
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "jobs_app", raising=False)
    from jobs_app import Till

    workers = [shell.spawn("jobs_app:hub", "--name", name) for name in ("a", "b")]
    for worker in workers:
        worker.wait_line("hubq worker")
    hub.start_children([ChildSpec(name, Till) for name in TILLS]).result(20)
    for number in range(EACH):
        for name in TILLS:
            hub.ref(name).cast("sell", number)
        if number == EACH // 2:
            workers[0].signal(signal.SIGKILL)
    every = list(range(EACH))
    assert {name: hub.ref(name).call("all_sold", timeout=30) for name in TILLS} == dict.fromkeys(TILLS, every)
    connection, queue = hub.rq_queue.connection, hub.rq_queue
    ids = [connection.blmove(queue.key, f"seen:{hub.hub_id}", 20, "LEFT", "RIGHT") for _ in range(EACH * len(TILLS))]
    assert None not in ids and queue.count == 0
    sold = [job.args for job in Job.fetch_many([job_id.decode() for job_id in ids], connection) if job is not None]
    assert {name: [number for who, number in sold if who == name] for name in TILLS} == dict.fromkeys(TILLS, every)
