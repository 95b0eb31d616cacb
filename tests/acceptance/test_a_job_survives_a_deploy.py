"""The deploy test: a job that counts in memory is a third done when its worker is told to end, and a new worker starts."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
import redis

from hubq import Hub

from .conftest import APPS, Shell, WorkerProcess

pytestmark = pytest.mark.acceptance

#: How long the job counts, seconds. The figures of docs/guide-jobs.md were measured with 30.
SECONDS = float(os.environ.get("HUBQ_DEPLOY_SECONDS", "3"))
EVERY = 0.1


def spawn(shell: Shell, name: str) -> WorkerProcess:
    worker = shell.spawn("jobs_app:hub", "--name", name)
    worker.wait_line(f"hubq worker {name}: ")
    return worker


@pytest.mark.parametrize("how", ["SIGTERM", pytest.param("SIGTERM, then the new worker", marks=pytest.mark.long)])
def test_a_counting_job_survives_a_deploy(shell: Shell, hub: Hub, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HUBQ_TEST_HUB", "HUBQ_REDIS_URL"):
        monkeypatch.setenv(name, shell.environment[name])
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "jobs_app", raising=False)
    from jobs_app import count

    old = spawn(shell, "old")
    began = time.monotonic()
    job = hub.enqueue(count, SECONDS, EVERY)
    with pytest.raises(TimeoutError):
        job.result(SECONDS / 3)
    if how == "SIGTERM":  # a rolling deploy: the new worker is there before the old one goes
        spawn(shell, "new")
    told = time.monotonic()
    old.signal(signal.SIGTERM)
    assert old.wait() == 0
    gone = time.monotonic() - told
    if how != "SIGTERM":
        assert job.status == "queued"
        spawn(shell, "new")
    counted = job.result(SECONDS * 3 + 30)
    took = time.monotonic() - began
    print(f"{how}: counted {SECONDS:g} s in {took:.2f} s; the old worker was gone {gone:.2f} s after SIGTERM")
    every_number = list(range(round(SECONDS / EVERY)))
    assert counted == every_number
    notes = redis.Redis.from_url(shell.environment["HUBQ_REDIS_URL"])
    # (A job that begins again from 1 returns the same list, and has counted some numbers twice.)
    assert [int(number) for number in notes.lrange(f"notes:{shell.hub_id}", 0, -1)] == every_number, "each number once"
    notes.close()
