"""Jobs that children have enqueued come into RQ once, wherever whoever puts them there was interrupted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from rq.job import Job

from hubq import Hub
from hubq.client.faces.jobs import Prepared
from hubq.core.job_names import put_mark
from hubq.testing import FakeServer


def add(a: int, b: int = 1) -> int:
    return a + b


@pytest.fixture(params=["one Redis", "jobs apart"])
def hub(request: pytest.FixtureRequest, make_hub: Any) -> Iterator[Hub]:
    made: Hub = make_hub(shards=1, **({"jobs_redis": FakeServer()} if request.param == "jobs apart" else {}))
    yield made
    made.close()


def streams(hub: Hub) -> Any:
    """redis-py's client for the Redis of the hub."""
    return hub.server.sync_client(5.0)


def waits(hub: Hub, job_id: str, /, entry: str = "*", **options: Any) -> bytes:
    """A commit has written this job."""
    job = hub.jobs.prepared(job_id, add, (1,), options)
    assert isinstance(job, Prepared)
    fields = {"sender": "x", "id": job.job_id, "key": job.key, "record": job.record}
    client = streams(hub)
    found: bytes = client.xadd(hub.keys.jobs(0), fields, id=entry)
    client.close()
    return found


def put_all(hub: Hub) -> None:
    while hub.jobs.put(0).more:
        pass


def left(hub: Hub) -> tuple[int, int]:
    """Jobs in the stream, messages in the outbox."""
    client = streams(hub)
    found = client.xlen(hub.keys.jobs(0)), client.xlen(hub.keys.outbox(0))
    client.close()
    return found


@pytest.mark.long_on_fakeredis
def test_all_come_in_order_and_nothing_is_left(hub: Hub) -> None:
    for number in range(120):
        waits(hub, f"j{number}")
    put_all(hub)
    assert hub.rq_queue.job_ids == [f"j{number}" for number in range(120)] and left(hub) == (0, 0)
    assert not hub.rq_queue.connection.exists(put_mark(hub.hub_id, 0))


def test_interrupted_before_the_entry_was_deleted(hub: Hub) -> None:
    first = waits(hub, "j1", result_ttl=0)
    put_all(hub)
    assert hub.rq_queue.job_ids == ["j1"]
    hub.rq_queue.empty()  # it has run, and is forgotten
    assert not Job.exists("j1", hub.rq_queue.connection)
    # As it was left: the entry is there, and the mark says that it is in RQ.
    client = streams(hub)
    client.delete(hub.keys.jobs(0))
    waits(hub, "j1", first.decode())
    hub.rq_queue.connection.set(put_mark(hub.hub_id, 0), first)
    waits(hub, "j2")
    put_all(hub)
    client.close()
    assert hub.rq_queue.job_ids == ["j2"] and left(hub) == (0, 0)


def test_one_with_a_key_goes_on_by_the_outbox_once(hub: Hub) -> None:
    entry = waits(hub, "j1", key="k")
    assert hub.jobs.put(0).keyed
    assert left(hub) == (0, 1) and hub.rq_queue.job_ids == [] and Job.exists("j1", hub.rq_queue.connection)
    waits(hub, "j2", key="k")
    put_all(hub)
    assert left(hub) == (0, 2)
    client = streams(hub)
    outbox = [dict(fields) for _, fields in client.xrange(hub.keys.outbox(0))]
    client.close()
    assert [(each[b"child"], each[b"method"]) for each in outbox] == [(b"job:k", b"run_job")] * 2 and entry


def test_one_that_must_be_the_only_one(hub: Hub) -> None:
    mine = f"mine-{hub.hub_id}"  # (all hubs of a Redis share RQ's ids)
    waits(hub, "j0")
    for _ in range(2):
        waits(hub, "x", job_id=mine, unique=True)
    waits(hub, "j1", depends_on="j0")
    put_all(hub)
    assert hub.rq_queue.job_ids == ["j0", mine] and left(hub) == (0, 0)
    assert Job.fetch("j1", hub.rq_queue.connection).get_status() == "deferred"
