"""A thousand jobs over fifty keys on three workers, one drained and one killed in the middle."""

from __future__ import annotations

import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from rq.job import Job, JobStatus

from hubq import Hub

from .conftest import Shell, WorkerProcess
from .test_job_processes import client, notes  # noqa: F401  (client is a fixture)
from .waiting import alive, soon

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

KEYS, JOBS = 50, 20


def spawn(shell: Shell, name: str) -> WorkerProcess:
    worker = shell.spawn("jobs_app:hub", "--name", name)
    worker.wait_line(f"hubq worker {name}: ")
    return worker


def test_a_thousand_keyed_jobs_with_a_drain_and_a_kill(shell: Shell, hub: Hub, client) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    workers = {name: spawn(shell, name) for name in "abc"}

    jobs: list[Job] = []

    def enqueue(first: int, behind: int) -> None:
        def of_key(key: str) -> list[Job]:
            return [hub.enqueue("jobs_app.keyed", key, number, key=key) for number in range(first, behind)]

        with ThreadPoolExecutor(5) as pool:
            for them in pool.map(of_key, [f"account-{n}" for n in range(KEYS)]):
                jobs.extend(them)

    enqueue(0, JOBS // 2)
    soon(lambda: len(notes(client, hub)) > 150, "some have run")
    workers["b"].signal(signal.SIGTERM)
    assert workers["b"].wait(40.0) == 0
    before = len(notes(client, hub))
    enqueue(JOBS // 2, JOBS)  # so that the kill, too, comes in the middle
    soon(lambda: len(notes(client, hub)) > before + 50, "some more have run")
    key_processes = {int(line[4]) for line in notes(client, hub) if line[0] == "begin"}
    workers["c"].signal(signal.SIGKILL)
    workers["c"].wait()
    soon(
        lambda: sum(map(alive, key_processes)) <= 4,
        "the processes of the drained and of the killed worker are gone",
        5.0,
    )
    in_time = 90.0
    left = jobs.copy()

    def none_left() -> bool:
        left[:] = [job for job in left if job.get_status() != JobStatus.FINISHED]
        return not left

    try:
        soon(none_left, "all have run", in_time)
    except AssertionError:
        states = Counter(job.get_status() for job in left)
        raise AssertionError(f"not ended: {states}; {hub.inspect.mailboxes(3)}; {hub.nodes()}") from None

    lines = notes(client, hub)
    twice = []
    for key in {line[1] for line in lines}:
        mine = [(line[0], int(line[2])) for line in lines if line[1] == key]
        begun = [number for word, number in mine if word == "begin"]
        assert sorted(set(begun)) == list(range(JOBS)), f"{key}: none is missing"
        assert begun == sorted(begun), f"{key}: in order: {begun}"
        ends = [number for word, number in mine if word == "end"]
        assert ends == sorted(ends) and set(ends) == set(begun)
        twice += [(key, number) for number, times in Counter(begun).items() if times > 1]
        assert max(Counter(begun).values()) <= 2
        for here, then in pairwise(mine):  # one at a time
            if here[0] == then[0] == "begin":
                assert here[1] == then[1]
    assert len(twice) <= 4, f"only what the killed worker had in hand may run twice: {twice}"
    assert hub.rq_queue.started_job_registry.get_job_ids() == []
