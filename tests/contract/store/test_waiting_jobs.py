"""What a commit leaves of jobs that children enqueue: in order, once, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hubq.store.connection import SyncRedis
from hubq.store.effects import Effects, Numbered
from hubq.store.keys import Keys
from hubq.store.owners import Owner, commit_shard
from hubq.store.waiting_jobs import Enqueued, JobRecord, WaitingJob, jobs_length, read_waiting

from .script_drives import World

RECORD = JobRecord({"data": b"d", "timeout": b"60"}, at_front=True)


@pytest.fixture
def world(server: Any, make_hub: Any) -> Iterator[World]:
    redis = SyncRedis(server)
    yield World(Keys(make_hub().hub_id), redis)
    redis.close()


def commit(world: World, *ids: str, number: int | None = None, owner: Owner | None = None) -> str:
    numbered = None if number is None else Numbered("a", world.a, number, "0")
    said = [Enqueued("x", job_id, "", RECORD.written()) for job_id in ids]
    effects = Effects(said=list(said), numbered=numbered)
    return str(world.run(commit_shard(world.keys, 0, None, owner or world.owner, effects)))


def waiting(world: World) -> list[WaitingJob]:
    return [read_waiting(fields) for _, fields in world.raw("XRANGE", world.keys.jobs(0), "-", "+")]


def test_jobs_wait_in_the_order_in_which_they_were_said(world: World) -> None:
    assert commit(world, "1", "2") == "ok" and commit(world, "3") == "ok"
    assert [job.job_id for job in waiting(world)] == ["1", "2", "3"] and world.run(jobs_length(world.keys, 0)) == 3
    assert waiting(world)[0] == WaitingJob("x", "1", "", RECORD)


def test_a_commit_that_is_repeated_enqueues_nothing_again(world: World) -> None:
    for _ in range(2):
        assert commit(world, "1", number=5) == "ok"
    assert commit(world, "2", number=6) == "ok"
    assert [job.job_id for job in waiting(world)] == ["1", "2"]


def test_a_fenced_commit_enqueues_nothing(world: World) -> None:
    assert commit(world, "1", owner=Owner("a", world.a, 9)) == "fenced"
    assert waiting(world) == []


@pytest.mark.parametrize("record", [b"", b"\xc1", b"\x93\x80\xc2\xc0"])
def test_what_hubq_has_not_written_is_refused(record: bytes) -> None:
    with pytest.raises(ValueError):
        read_waiting([b"sender", b"x", b"id", b"1", b"key", b"", b"record", record])
