"""A line for each job, and which job a record of the app knows (docs/guide-logs.md)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import pytest
import rq

from hubq import Hub
from hubq.client.current import set_current_hub
from hubq.jobs.keyed_work import KeyedQueue, KeyedThread, perform
from hubq.logs import add_log_context
from hubq.testing import Cluster

log = logging.getLogger("shop")


def send_mail(to: str) -> str:
    log.info("to %s", to)
    if to == "nobody":
        raise LookupError("no such user")
    return to


async def copy_all(ctx: Any, fails: int) -> str:
    log.info("copies")
    ctx.state.n = ctx.state.get("n", 0) + 1
    await ctx.commit()
    if ctx.state.n <= fails:
        raise OSError("disk full")
    return "copied"


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    before = logging.getLogRecordFactory()
    add_log_context()
    with caplog.at_level(logging.INFO):
        yield caplog
    logging.setLogRecordFactory(before)


def performed(hub: Hub, *jobs: Any) -> None:
    """Run these jobs as a job process does."""
    connection = hub.server.sync_client(5.0)
    queue = KeyedQueue(hub.queue_name, connection=connection)

    def run() -> None:
        set_current_hub(hub)
        for number, job in enumerate(jobs):
            perform(KeyedThread([queue], name=f"{hub.hub_id}.{number}", connection=connection), job.id)

    copy_context().run(run)
    connection.close()


def in_general(line: str) -> str:
    return re.sub(r"\d\.\d\d s", "T s", line)


def test_a_line_for_each_job(make_hub: Any, heard: pytest.LogCaptureFixture) -> None:
    hub = make_hub()
    good, bad = hub.enqueue(send_mail, "ann", key="k"), hub.enqueue(send_mail, "nobody", key="k", retry=rq.Retry(max=2))
    heard.clear()
    performed(hub, good, bad)
    name = f"{__name__}.send_mail"
    own = [it for it in heard.records if it.name == "hubq.jobs"]
    assert [in_general(it.getMessage()) for it in own] == [
        f"job {good.id} {name}: received",
        f"job {good.id} {name}: done in T s",
        f"job {bad.id} {name}: received",
        f"job {bad.id} {name}: failed after T s; tries left: 2: LookupError: no such user",
    ]
    told = [it for it in heard.records if it.exc_info or "Traceback" in it.getMessage()]
    assert told == own[-1:], "the traceback is there once"
    assert {it.__dict__["hubq_job"] for it in own} == {good.id, bad.id}
    first, second = (it for it in heard.records if it.name == "shop")
    assert (first.__dict__["hubq_job"], first.__dict__["hubq_method"]) == (good.id, name)
    assert second.__dict__["hubq"] == f"[{bad.id} {name}] "
    log.info("after")
    assert heard.records[-1].__dict__["hubq"] == ""


def test_what_fails_before_the_function_is_told_as_well(make_hub: Any, heard: pytest.LogCaptureFixture) -> None:
    hub = make_hub()
    gone = hub.enqueue("no_such_module.f", key="k")
    performed(hub, gone)
    (told,) = [it for it in heard.records if it.levelno == logging.ERROR]
    assert f"job {gone.id} no_such_module.f: failed after" in told.getMessage()
    assert "NotImportable" in told.getMessage()


def test_a_resumable_job_has_the_same_lines(make_hub: Any, hubq_run: Any, heard: pytest.LogCaptureFixture) -> None:
    hub = make_hub()
    hub.job(resumable=True)(copy_all)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            job = await hub.aio.enqueue(copy_all, 1, job_id="copy-1", retry=rq.Retry(max=1))
            assert await job.result(20) == "copied"

    hubq_run(scenario())
    own = [it for it in heard.records if it.name == "hubq.jobs"]
    assert [in_general(it.getMessage()) for it in own] == [
        "job copy-1 copy_all: received",
        "job copy-1 copy_all: failed after T s; tries left: 1: OSError: disk full",
        "job copy-1 copy_all: done in T s",
    ]
    assert {it.__dict__["hubq_job"] for it in heard.records if it.name == "shop"} == {"copy-1"}
