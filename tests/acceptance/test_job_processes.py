"""``hubq worker --jobs``: RQ workers as processes under a node."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from typing import Any

import pytest
import redis
import rq
from rq.command import send_stop_job_command
from rq.job import JobStatus

from hubq import Hub
from hubq.jobs.hub_job import HubJob

from .conftest import APPS, Shell, WorkerProcess
from .waiting import alive, ended, wait_until_gone

pytestmark = pytest.mark.acceptance


@pytest.fixture
def client(shell: Shell) -> Iterator[Any]:
    client = redis.Redis.from_url(shell.environment["HUBQ_REDIS_URL"])
    yield client
    client.close()


def notes(client: Any, hub: Hub) -> list[list[str]]:
    """What the jobs have noted: those that were waited for, and the others."""
    lines = [line for key in ("seen", "notes") for line in client.lrange(f"{key}:{hub.hub_id}", 0, -1)]
    return [line.decode().split() for line in lines]


def noted(client: Any, hub: Hub, words: Collection[str], times: int) -> list[list[str]]:
    """Wait until this many lines begin with one of these words."""
    while len(found := [line for line in notes(client, hub) if line[0] in words]) < times:
        line = client.blmove(f"notes:{hub.hub_id}", f"seen:{hub.hub_id}", 20, "LEFT", "RIGHT")
        assert line is not None, f"not within 20 s: {times} lines of {words} among {notes(client, hub)}"
    return found


def begun(client: Any, hub: Hub, times: int = 1) -> list[list[str]]:
    return noted(client, hub, ("begin",), times)


def work(shell: Shell, name: str, *options: str) -> WorkerProcess:
    worker = shell.spawn("jobs_app:hub", "--name", name, "--jobs", "1", *options)
    worker.wait_line(f"hubq worker {name}: ")
    return worker


def finished(job: Any) -> Any:
    status, result = ended(job), job.latest_result()
    return result.return_value if status == JobStatus.FINISHED else result.exc_string


def test_jobs_run_and_know_their_hub(shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(
        sys.modules, "jobs_app", raising=False
    )  # another test imports it: then `gone` is refused at once
    jobs = [hub.enqueue("jobs_app.add", 1, 2), hub.enqueue("jobs_app.where_am_i"), hub.enqueue("jobs_app.fails")]
    jobs += [hub.enqueue("jobs_app.gone"), hub.enqueue("no_such_module.f")]
    around = [hub.enqueue("jobs_app.what_is_around"), hub.enqueue("jobs_app.what_is_around", key="k")]
    worker = work(shell, "a", "--log-format", "json")
    assert [finished(job) for job in jobs[:2]] == [3, hub.hub_id]
    assert "ValueError: not today" in finished(jobs[2])
    for job in jobs[3:]:
        assert f"this worker cannot import {job.func_name!r}" in finished(job)
    assert [finished(job) for job in around] == ["job jobs_app.what_is_around"] * 2
    names = [each.name for each in rq.Worker.all(queue=hub.rq_queue) if ".key-" not in each.name]
    assert len(names) == 1 and names[0].startswith(f"{hub.hub_id}:a.1-")
    info = [sys.executable, "-m", "rq.cli", "info", "--raw", "--url", shell.environment["HUBQ_REDIS_URL"]]
    told = subprocess.run(info, capture_output=True, text=True, timeout=30, check=True).stdout
    assert f"queue {hub.queue_name} 0" in told and f"worker {names[0]}" in told
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert rq.Worker.all(queue=hub.rq_queue) == []
    logged = [json.loads(line) for line in worker.lines]
    own = [line for line in logged if line["logger"] == "hubq.jobs" and line.get("job") == jobs[2].id]
    assert [line["level"] for line in own] == ["info", "error"] and "not today" in own[1]["traceback"]
    assert not [line for line in logged if line["logger"] == "rq.worker"], "told once"
    assert {line["job"] for line in logged if "done in" in line["message"]} == {job.id for job in (*jobs[:2], *around)}


@pytest.mark.long
@pytest.mark.parametrize("key", [None, "k"])
def test_callbacks_are_called_as_rq_does(shell: Shell, hub: Hub, client: Any, key: str | None) -> None:
    calls: dict[str, Any] = {
        "on_success": rq.Callback("jobs_app.succeeded"),
        "on_failure": rq.Callback("jobs_app.failed"),
    }
    good = hub.enqueue("jobs_app.add", 1, 2, key=key, **calls)
    bad = hub.enqueue("jobs_app.fails", key=key, retry=rq.Retry(max=1), **calls)
    work(shell, "a")
    assert finished(good) == 3 and "not today" in finished(bad)

    # (RQ calls on_failure at each try.)
    tries = [["failed", bad.id, "ValueError", hub.hub_id]] * 2
    said = noted(client, hub, ("succeeded", "failed"), 3)
    assert said == [["succeeded", good.id, "3", hub.hub_id], *tries]


@pytest.mark.long
def test_children_enqueue_jobs_and_jobs_start_and_call_children(
    shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HUBQ_TEST_HUB", "HUBQ_REDIS_URL"):
        monkeypatch.setenv(name, shell.environment[name])
    monkeypatch.syspath_prepend(str(APPS))
    monkeypatch.delitem(sys.modules, "jobs_app", raising=False)
    from jobs_app import open_a_desk_resumable

    work(shell, "a")
    opened = [hub.enqueue("jobs_app.open_a_desk", f"desk-{key}", 7, key=key) for key in (None, "k")]
    assert [finished(job) for job in opened] == [2, 2], "the child has what was cast and what was called"
    assert hub.enqueue(open_a_desk_resumable, "desk-r", 7).result(20) == 1
    desk = hub.ref("desk-None")
    ordered = [desk.call("order", 1, 2), desk.call("order", 3, 4, "k"), desk.call("order_in_a_thread", 5, 6)]
    assert [finished(HubJob.fetch(each, connection=hub.rq_queue.connection)) for each in ordered] == [3, 7, 11]
    assert desk.call("enter", 1) == 3


@pytest.mark.long
def test_a_job_that_cannot_finish_in_time_goes_back_to_the_front_and_counts_no_retry(
    shell: Shell, hub: Hub, client: Any
) -> None:
    worker = work(shell, "a", "--drain-timeout", "1.0")
    job = hub.enqueue("jobs_app.slow", "long", 2.0, retry=rq.Retry(max=2), meta={"n": 1})
    behind = hub.enqueue("jobs_app.slow", "behind", 0.0)
    horse = int(begun(client, hub)[0][2])
    worker.signal(signal.SIGTERM)
    worker.wait()
    assert not alive(horse)
    job.refresh()
    assert hub.rq_queue.job_ids == [job.id, behind.id], "at the front"
    assert (job.get_status(), job.retries_left, job.meta) == (JobStatus.QUEUED, 2, {"n": 1})
    assert hub.rq_queue.started_job_registry.get_job_ids() == [] and job.get_executions() == []
    assert client.llen(hub.rq_queue.intermediate_queue_key) == 0
    work(shell, "b", "--jobs-only")
    assert (finished(job), finished(behind)) == ("long", "behind")
    assert [line[:2] for line in notes(client, hub)] == [
        ["begin", "long"], ["begin", "long"], ["end", "long"], ["begin", "behind"], ["end", "behind"],
    ]  # fmt: skip


def test_a_job_that_finishes_in_time_is_waited_for_and_no_other_is_begun(shell: Shell, hub: Hub, client: Any) -> None:
    worker = work(shell, "a", "--jobs-only", "--drain-timeout", "20")
    job, next_one = hub.enqueue("jobs_app.slow", "x", 0.5), hub.enqueue("jobs_app.slow", "y", 0.0)
    begun(client, hub)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert job.get_status() == JobStatus.FINISHED and hub.rq_queue.job_ids == [next_one.id]


@pytest.mark.long
def test_a_killed_job_process_is_started_again(shell: Shell, hub: Hub, client: Any) -> None:
    limbo = hub.enqueue("jobs_app.add", 1, 2)  # taken by a process that was killed before it had begun
    client.lmove(hub.rq_queue.key, hub.rq_queue.intermediate_queue_key)
    worker = work(shell, "a")
    job = hub.enqueue("jobs_app.slow", "x", 1.0, retry=rq.Retry(max=1))
    for times in (1, 2):
        horse = int(begun(client, hub, times)[-1][2])
        (process,) = rq.Worker.all(queue=hub.rq_queue)
        os.kill(process.pid, signal.SIGKILL)
        wait_until_gone([horse], 20)
    worker.wait_line("job process .* starting it again")
    assert finished(job) == "x", "its node has given it back"
    assert finished(limbo) == 3
    job.refresh()
    assert job.retries_left == 1 and hub.rq_queue.started_job_registry.get_job_ids() == []
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


@pytest.mark.long
def test_a_job_that_takes_its_worker_down_again_and_again_fails(shell: Shell, hub: Hub, client: Any) -> None:
    work(shell, "a")
    job = hub.enqueue("jobs_app.kill_the_worker")
    assert "was killed, 3 times" in finished(job)


def test_no_process_outlives_a_killed_worker_and_its_job_is_given_back(shell: Shell, hub: Hub, client: Any) -> None:
    worker = work(shell, "a", "--drain-timeout", "1")
    job = hub.enqueue("jobs_app.slow", "x", 30.0)
    horse = int(begun(client, hub)[0][2])
    (process,) = rq.Worker.all(queue=hub.rq_queue)
    worker.signal(signal.SIGKILL)
    wait_until_gone([process.pid, horse], 20)
    assert hub.rq_queue.job_ids == [job.id] and job.get_status() == JobStatus.QUEUED


def test_rqs_own_stop_command_stops_a_job(shell: Shell, hub: Hub, client: Any) -> None:
    work(shell, "a")
    job = hub.enqueue("jobs_app.slow", "x", 30.0)
    begun(client, hub)
    send_stop_job_command(client, job.id)
    assert ended(job) == JobStatus.STOPPED


@pytest.mark.long
def test_hubq_jobs(shell: Shell, hub: Hub) -> None:
    jobs = [hub.enqueue("jobs_app.fails"), hub.enqueue("jobs_app.add", 1, 2, key="account-7")]
    work(shell, "a", "--jobs-only")
    finished(jobs[0])
    told = json.loads(shell.ok("jobs", "jobs_app:hub", "--json"))
    assert told["queue"] == hub.queue_name and told["counts"]["failed"] == told["counts"]["keys"] == 1
    assert told["clock"] is None and len(told["workers"]) == 1
    lines = {line["id"]: line for line in told["jobs"]}
    assert lines[jobs[0].id]["reason"] == "ValueError: not today"
    assert lines["job:account-7"]["waiting"] == 2
    text = shell.ok("jobs", hub.hub_id, "--state", "failed")
    assert text.startswith(f"queue {hub.queue_name}: 1 failed, 1 keys; 1 RQ worker; no clock")
    assert "ValueError: not today" in text and "account-7" not in text
    assert "give one of queued, started" in shell.fails(2, "jobs", hub.hub_id, "--state", "lost")


@pytest.mark.long
def test_options_that_contradict(shell: Shell) -> None:
    assert "contradict" in shell.fails(2, "worker", "jobs_app:hub", "--jobs-only", "--children-only")
    assert "--jobs 3" in shell.fails(2, "worker", "jobs_app:hub", "--jobs", "3", "--children-only")


@pytest.mark.long
def test_jobs_under_the_users_of_hubq_acl(shell: Shell, hub: Hub, client: Any) -> None:
    urls = {}
    old = ["--redis6"] if int(client.info("server")["redis_version"].partition(".")[0]) < 7 else []
    for role in ("worker", "client", "inspector"):
        words = shlex.split(shell.run("acl", hub.hub_id, role, "--jobs", *old).stdout.replace("#SHA256", ">secret"))
        client.execute_command(*words)
        urls[role] = shell.environment["HUBQ_REDIS_URL"].replace("redis://", f"redis://{words[2]}:secret@")
    web = Hub(hub.hub_id, redis=urls["client"])
    worker = shell.spawn("jobs_app:hub", "--name", "a", "--jobs", "1", "--redis", urls["worker"])
    worker.wait_line("hubq worker a: ")
    jobs = [web.enqueue("jobs_app.add", 1, 2), web.enqueue("jobs_app.add", 3, 4, key="k")]
    later = web.enqueue_in(0.1, "jobs_app.add", 5, 6)
    assert [finished(job) for job in (*jobs, later)] == [3, 7, 11]
    web.close()
    assert json.loads(shell.ok("jobs", hub.hub_id, "--json", "--redis", urls["inspector"]))["counts"]["finished"] == 3
    words = shlex.split(shell.run("acl", hub.hub_id, "inspector", *old).stdout.replace("#SHA256", ">secret"))
    client.execute_command(*words)
    assert "check the user" in shell.fails(3, "jobs", hub.hub_id, "--redis", urls["inspector"])
