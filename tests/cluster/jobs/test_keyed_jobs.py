"""Jobs with a key: one at a time and in order, through RQ's own machinery, whatever the shard does."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest
import rq
from rq.job import Job, JobStatus

from hubq import DuplicateJob, Hub, InvalidJob, InvalidKey, MailboxFull, current_hub
from hubq.jobs.condemned import fail_condemned, watch_condemned
from hubq.testing import Cluster, eventually


def note(word: str, seconds: float = 0.0) -> str:
    """Write down, in the hub's Redis, when it begins and ends."""
    hub = current_hub()
    client = hub.server.sync_client(5.0)
    client.rpush(f"notes:{hub.hub_id}", f"+{word}")
    time.sleep(seconds)
    client.rpush(f"notes:{hub.hub_id}", f"-{word}")
    return word


def fail_twice() -> str:
    hub = current_hub()
    if hub.server.sync_client(5.0).incr(f"tries:{hub.hub_id}") < 3:
        raise ValueError("not yet")
    note("third")
    return "at last"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for_go() -> str:
    hub = current_hub()
    client = hub.server.sync_client(5.0)
    client.rpush(f"notes:{hub.hub_id}", "begun")
    while not client.exists(f"go:{hub.hub_id}"):
        time.sleep(0.05)
    return "went"


async def gently(word: str) -> str:
    await asyncio.sleep(0)
    return word


def notes(hub: Hub) -> list[str]:
    return [line.decode() for line in hub.server.sync_client(5.0).lrange(f"notes:{hub.hub_id}", 0, -1)]


async def ended(jobs: list[Job], within: float = 20.0) -> list[JobStatus]:
    done = (JobStatus.FINISHED, JobStatus.FAILED)
    await eventually(lambda: all(job.get_status() in done for job in jobs), within, "the jobs have ended")
    return [job.get_status() for job in jobs]


def test_jobs_of_a_key_run_in_order_and_one_at_a_time(make_hub: Any) -> None:
    hub = make_hub(key_processes=2)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            jobs = [await hub.aio.enqueue(note, f"{key}{n}", key=key) for n in range(6) for key in "xy"]
            assert {job.origin for job in jobs} == {hub.queue_name} and hub.rq_queue.count == 0
            assert set(await ended(jobs)) == {JobStatus.FINISHED}
            assert [job.return_value() for job in jobs[:2]] == ["x0", "y0"]
            for key in "xy":
                mine = [line for line in notes(hub) if line[1] == key]
                assert mine == [f"{sign}{key}{n}" for n in range(6) for sign in "+-"]
            assert hub.rq_queue.started_job_registry.get_job_ids() == []
            assert set(hub.rq_queue.finished_job_registry.get_job_ids()) == {job.id for job in jobs}

    asyncio.run(scenario())


def test_a_retry_is_rqs_and_what_comes_after_waits_for_it(make_hub: Any) -> None:
    hub = make_hub(key_processes=1)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            first = await hub.aio.enqueue(fail_twice, key="k", retry=rq.Retry(max=2, interval=[0, 1]))
            second = await hub.aio.enqueue(note, "second", key="k")
            assert await ended([first, second]) == [JobStatus.FINISHED] * 2
            first.refresh()
            assert first.return_value() == "at last" and first.retries_left == 0
            assert [line for line in notes(hub) if line[0] == "+"] == ["+third", "+second"]
            third = await hub.aio.enqueue(gently, "async", key="k")
            failed = await hub.aio.enqueue(note, key="k")
            last = await hub.aio.enqueue(note, "last", key="k", depends_on=None)
            assert await ended([third, failed, last]) == [JobStatus.FINISHED, JobStatus.FAILED, JobStatus.FINISHED]
            assert "missing 1 required positional argument" in str(failed.latest_result().exc_string)
            assert hub.rq_queue.failed_job_registry.get_job_ids() == [failed.id]

    asyncio.run(scenario())


def test_jobs_may_be_enqueued_with_no_node_and_moves_lose_none(make_hub: Any) -> None:
    hub = make_hub(shards=8, key_processes=2)

    async def scenario() -> None:
        keys = [f"k{n}" for n in range(8)]
        jobs = [await hub.aio.enqueue(note, f"{key}.{n}", 0.02, key=key) for n in range(5) for key in keys]
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await eventually(lambda: len(notes(hub)) > 5, 20.0, "some have run")
            await cluster.start("b")
            await cluster.settled()
            jobs += [await hub.aio.enqueue(note, f"{key}.{n}", key=key) for n in range(5, 8) for key in keys]
            await cluster.drain("a")
            assert set(await ended(jobs, 40.0)) == {JobStatus.FINISHED}
            for key in keys:
                mine = [line for line in notes(hub) if line[1:].partition(".")[0] == key]
                assert mine == [f"{sign}{key}.{n}" for n in range(8) for sign in "+-"]

    asyncio.run(scenario())


def test_a_process_that_dies_fails_its_job_as_rq_does_and_the_key_goes_on(make_hub: Any, server: Any) -> None:
    hub = make_hub(key_processes=1)
    if server.address == "fakeredis":
        return  # there the jobs run in threads of this process

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            jobs = [await hub.aio.enqueue(die, key="k"), await hub.aio.enqueue(note, "x", key="k")]
            assert await ended(jobs) == [JobStatus.FAILED, JobStatus.FINISHED]
            assert "terminated unexpectedly" in str(jobs[0].latest_result().exc_string)
            assert jobs[0].get_executions() == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("key", "said"),
    [("", "empty"), ("x" * 501, "has 501 bytes"), (7, "is a int"), ("a\nb", "unprintable"), ("\ud800", "UTF-8")],
)
def test_keys_that_cannot_be(make_hub: Any, key: Any, said: str) -> None:
    hub = make_hub()
    with pytest.raises(InvalidKey, match=said):
        hub.enqueue(note, "x", key=key)
    assert hub.children() == []


def test_the_longest_key(make_hub: Any) -> None:
    hub = make_hub()
    job = hub.enqueue(note, "x", key="é" * 250)
    assert job.get_status() == JobStatus.QUEUED
    assert [child.backlog for child in hub.children()] == [2], "the start, and the job"


def test_options_that_contradict_a_key(make_hub: Any) -> None:
    hub = make_hub()
    for option in ({"depends_on": "x"}, {"at_front": True}, {"repeat": rq.Repeat(times=2)}):
        with pytest.raises(InvalidJob, match="contradict each other"):
            hub.enqueue(note, "x", key="k", **option)
    hub.enqueue(note, "x", key="k", unique=True, job_id=f"one-{hub.hub_id}")
    with pytest.raises(DuplicateJob, match="already exists"):
        hub.enqueue(note, "x", key="k", unique=True, job_id=f"one-{hub.hub_id}")


def test_a_refused_job_leaves_nothing(make_hub: Any) -> None:
    hub = make_hub(max_backlog=2)
    hub.enqueue(note, "x", key="k")
    with pytest.raises(MailboxFull):
        hub.enqueue(note, "y", key="k", job_id=f"refused-{hub.hub_id}")
    assert not Job.exists(f"refused-{hub.hub_id}", connection=hub.rq_queue.connection)


def test_a_sender_that_is_cut_off_leaves_nothing_for_ever(make_hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = make_hub()
    connection = hub.rq_queue.connection
    plain, own = hub.enqueue(note, "x", key="k"), hub.enqueue(note, "x", key="k", ttl=60)
    once = hub.enqueue(note, "x", key="k", unique=True, job_id=f"once-{hub.hub_id}")
    assert [connection.ttl(job.key) for job in (plain, once)] == [-1, -1] and 0 < connection.ttl(own.key) <= 60
    assert Job.fetch(once.id, connection).ttl is None

    def cut_off(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr("hubq.jobs.keyed.deliver", cut_off)
    monkeypatch.setattr(Job, "delete", lambda *_, **__: None)  # nor does it clean up
    for options in ({"job_id": f"cut-{hub.hub_id}"}, {"job_id": f"cut-once-{hub.hub_id}", "unique": True}):
        with pytest.raises(SystemExit):
            hub.enqueue(note, "x", key="k", **options)
        assert 0 < connection.ttl(Job.key_for(options["job_id"])) <= 7 * 86_400


@pytest.mark.long
def test_a_job_that_takes_its_nodes_down_has_failed_in_rq_and_may_be_replayed(real_server: Any) -> None:
    hub = Hub(
        f"condemned-{os.getpid()}",
        redis=real_server,
        shards=2,
        lease=0.8,
        lease_margin=0.2,
        heartbeat=0.1,
        key_processes=1,
    )
    watch_condemned(hub)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            bad = await hub.aio.enqueue(wait_for_go, key="k", retry=rq.Retry(max=5))
            behind = await hub.aio.enqueue(note, "behind", key="k")
            for times, node in enumerate("abc", 1):
                await cluster.start(node)
                await eventually(lambda times=times: len(notes(hub)) >= times, 20.0, f"begun by {node}")
                await cluster.kill(node)
            await cluster.start("d")
            assert await ended([bad, behind], 30.0) == [JobStatus.FAILED, JobStatus.FINISHED]
            assert "in hand each time 3 workers died (a#" in str(bad.latest_result().exc_string)
            assert bad.get_executions() == [] and hub.rq_queue.started_job_registry.get_job_ids() == []
            (letter,) = await hub.aio.dead_letters()
            assert await asyncio.to_thread(fail_condemned, hub, letter.shard) == [], "once is enough"
            hub.server.sync_client(5.0).set(f"go:{hub.hub_id}", 1)
            assert await hub.aio.replay_dead([letter.letter]) == [letter.letter]
            await eventually(lambda: bad.get_status() == JobStatus.FINISHED, 20.0, "it runs after all")

    asyncio.run(scenario())
