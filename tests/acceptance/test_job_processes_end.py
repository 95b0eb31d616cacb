"""A job process ends within seconds of its node, and when it is told to, whatever Redis does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
import redis
import rq
from rq.job import JobStatus

from hubq import Hub
from hubq.store.embedded import EmbeddedServer
from tests.real_redis import no_real_redis

from .conftest import Shell, WorkerProcess
from .waiting import alive, ended, wait_until_gone

pytestmark = pytest.mark.acceptance

#: Seconds. A job process itself gives up on Redis after 5.
SOON = 10.0

#: What becomes of Redis.
BOTH = pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])


@pytest.fixture
def own_redis() -> Iterator[EmbeddedServer]:
    """A Redis that the test may kill."""
    with EmbeddedServer() as server:
        if server.pid is None:
            no_real_redis()
        yield server
        os.kill(server.pid, signal.SIGCONT)  # if it was frozen: so that it can end


@pytest.fixture
def shell(own_redis: EmbeddedServer, hub_id: str) -> Iterator[Shell]:
    shell = Shell(hub_id, own_redis.url)
    yield shell
    for worker in shell.workers:
        worker.end()


@pytest.fixture
def hub(own_redis: EmbeddedServer, hub_id: str) -> Iterator[Hub]:
    hub = Hub(hub_id, redis=own_redis.url)
    yield hub
    hub.close()


@pytest.mark.long
def test_one_that_redis_takes_no_connection_of_says_so_in_a_line(shell: Shell, own_redis: EmbeddedServer) -> None:
    with redis.Redis(port=own_redis.port) as admin:
        worker = shell.spawn("jobs_app:hub", "--name", "a", "--jobs", "1")
        worker.wait_line("hubq worker a: ")
        admin.config_set("maxclients", 1)
        for process in admin.client_list():
            admin.client_kill_filter(_id=process["id"], skipme=True)
        worker.wait_line(r"job process .*: cannot reach Redis at redis://.*max number of clients reached")
        worker.wait_line(r"job process \d+ ended with code 3; starting it again")
        admin.config_set("maxclients", 1000)
    assert not [line for line in worker.lines if "Traceback" in line]


def job_processes(shell: Shell, hub: Hub) -> tuple[WorkerProcess, dict[str, int]]:
    """A node that has two: for the queue (idle, waiting in Redis), and for keys (idle)."""
    worker = shell.spawn("jobs_app:hub", "--name", "a", "--jobs", "1")
    worker.wait_line("hubq worker a: ")
    jobs = [hub.enqueue("jobs_app.add", 1, 2), hub.enqueue("jobs_app.add", 3, 4, key="k")]
    assert [ended(job) for job in jobs] == [JobStatus.FINISHED] * 2
    found = {"keys" if ".key-" in each.name else "queue": each.pid for each in rq.Worker.all(queue=hub.rq_queue)}
    assert set(found) == {"queue", "keys"} and all(map(alive, found.values()))
    return worker, found


@BOTH
def test_no_job_process_outlives_its_node_when_redis_goes_with_it(
    shell: Shell, hub: Hub, own_redis: EmbeddedServer, fate: signal.Signals
) -> None:
    worker, processes = job_processes(shell, hub)
    assert own_redis.pid is not None
    os.kill(own_redis.pid, fate)
    worker.signal(signal.SIGKILL)
    wait_until_gone(processes.values(), SOON)


@BOTH
@pytest.mark.long
def test_a_job_process_that_is_told_to_end_does_not_wait_for_redis(
    shell: Shell, hub: Hub, own_redis: EmbeddedServer, fate: signal.Signals
) -> None:
    worker, processes = job_processes(shell, hub)
    assert own_redis.pid is not None
    os.kill(own_redis.pid, fate)
    worker.wait_line("could not connect to Redis|has no lease|not renewed")
    os.kill(processes["queue"], signal.SIGTERM)
    wait_until_gone([processes["queue"]], SOON)
    worker.signal(signal.SIGKILL)
    wait_until_gone(processes.values(), SOON)


@BOTH
@pytest.mark.long
def test_a_job_in_hand_has_no_more_than_its_time_when_redis_has_gone(
    shell: Shell, hub: Hub, own_redis: EmbeddedServer, fate: signal.Signals
) -> None:
    worker = shell.spawn("jobs_app:hub", "--name", "a", "--jobs-only", "--drain-timeout", "2")
    worker.wait_line("hubq worker a: ")
    job = hub.enqueue("jobs_app.slow", "x", 60.0)
    with redis.Redis.from_url(own_redis.url) as client:
        said = client.blpop([f"notes:{hub.hub_id}"], timeout=20)  # "begin x PID"
    assert said is not None and job.get_status() == JobStatus.STARTED
    (process,) = rq.Worker.all(queue=hub.rq_queue)
    pids = [process.pid, int(said[1].split()[2])]
    assert all(map(alive, pids))
    assert own_redis.pid is not None
    os.kill(own_redis.pid, fate)
    worker.signal(signal.SIGKILL)
    wait_until_gone(pids, SOON)
