"""What a node logs of its children, and which child a record of the app knows (docs/guide-logs.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from hubq import CallFailed, Child, ChildSpec, StartFailed, read
from hubq.logs import add_log_context
from hubq.testing import Cluster, eventually

log = logging.getLogger("shop")


class Room(Child):
    def __init__(self, fails: str = "") -> None:
        self.n = 0
        self.fails = fails
        if fails == "init":
            raise ValueError("no room")

    async def on_start(self) -> None:
        log.info("on_start")
        if self.fails == "on_start":
            raise ValueError("no key")

    async def run(self) -> None:
        log.info("run")
        await asyncio.Event().wait()

    async def post(self) -> None:
        log.info("post")
        await asyncio.gather(self._aside())

    async def _aside(self) -> None:
        await asyncio.sleep(0)
        log.info("aside")

    def count(self) -> None:
        log.info("count")

    @read
    async def status(self) -> None:
        log.info("status")

    async def refuse(self) -> None:
        raise PermissionError("not you")


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    before = logging.getLogRecordFactory()
    add_log_context()
    with caplog.at_level(logging.INFO):
        yield caplog
    logging.setLogRecordFactory(before)


def test_records_know_their_child(make_hub: Any, hubq_run: Any, heard: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            hub = cluster.hub.aio
            for child in ("room-1", "room-2"):
                await hub.start_child(child, Room)
            for method in ("post", "count", "status"):
                await asyncio.gather(*(hub.ref(child).call(method) for child in ("room-1", "room-2")))
            await eventually(lambda: heard.messages.count("run") == 2, 10, "run() has begun")
        log.info("outside")

    hubq_run(scenario())
    known = {
        (it.getMessage(), it.__dict__["hubq_child"], it.__dict__["hubq_class"], it.__dict__["hubq_method"])
        for it in heard.records
        if it.name == "shop"
    }
    methods = {
        "on_start": "on_start",
        "run": "run",
        "post": "post",
        "aside": "post",
        "count": "count",
        "status": "status",
    }
    expected = {(said, child, "Room", where) for said, where in methods.items() for child in ("room-1", "room-2")}
    assert known == expected | {("outside", "", "", "")}
    ids = [it.__dict__["hubq_message"] for it in heard.records if it.getMessage() in ("post", "count", "status")]
    assert all(ids) and len(set(ids)) == 6


def test_a_line_per_start_end_and_move_and_one_for_many(
    make_hub: Any, hubq_run: Any, heard: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            a = await cluster.start("a")
            await cluster.settled_shards()
            hub = cluster.hub.aio
            await hub.start_children([ChildSpec(f"room-{n}", Room) for n in range(20)])
            assert "20 children (room-0, room-1, room-2 and 17 more) started" in heard.messages
            await hub.start_child("quiet", Room, disable_logging=True)
            await hub.stop_child("room-19")
            assert "child room-19 has ended" in heard.messages
            await cluster.start("b")
            assert await cluster.drain(a.name)
            await eventually(lambda: any(line.endswith("came from a") for line in heard.messages), 10, "b tells")
            await cluster.kill("b")
            await cluster.start("c")
            await eventually(lambda: any("no worker had" in line for line in heard.messages), 20, "c tells")

    hubq_run(scenario())
    (moved,) = [line for line in heard.messages if line.endswith("came from a")]
    assert moved.startswith("20 children (")
    assert not any("quiet" in line and "started" in line for line in heard.messages)
    (taken,) = [line for line in heard.messages if "no worker had" in line]
    assert taken.startswith("20 children (")


def test_a_child_that_was_there_before_the_first_worker_is_taken_in(
    make_hub: Any, hubq_run: Any, heard: pytest.LogCaptureFixture
) -> None:
    """As the clock of a new hub is: nothing went wrong, and nothing in its line may sound like that."""

    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            hub = cluster.hub.aio
            started = asyncio.ensure_future(hub.start_child("room", Room))
            await eventually(hub.children, 10, "it is recorded")
            await cluster.start("a")
            await started
            await eventually(lambda: any("room" in line for line in heard.messages), 10, "a tells")

    hubq_run(scenario())
    assert next(line for line in heard.messages if "room" in line) == "child room taken in: no worker had its shard"


def test_failures_have_their_traceback(make_hub: Any, hubq_run: Any, heard: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            await cluster.settled()  # a node that takes the shard in with the child in it says that it is parked
            hub = cluster.hub.aio
            await hub.start_child("room", Room)
            with pytest.raises(CallFailed):
                await hub.ref("room").call("refuse")
            for fails in ("init", "on_start"):
                with pytest.raises(StartFailed):
                    await hub.start_child(fails, Room, fails)

    hubq_run(scenario())
    raised = {str(it.exc_info[1]): it.getMessage() for it in heard.records if it.exc_info and it.exc_info[1]}
    assert set(raised) == {"not you", "no room", "no key"}
    assert "child init could not start" in raised["no room"] and "child on_start is parked" in raised["no key"]
