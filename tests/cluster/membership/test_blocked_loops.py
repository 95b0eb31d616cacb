"""A blocked event loop in a node: named, and harmless to its lease; past the stall limit its node ends."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from hubq import Child, Hub
from hubq.testing import Cluster, eventually

slept: list[str] = []
FAST = {"lease": 0.6, "lease_margin": 0.1, "heartbeat": 0.05}


class Blocker(Child):
    """Blocks the loop in every way."""

    def __init__(self, where: str = "", seconds: float = 0.0) -> None:
        self.where, self.seconds, self.done = where, seconds, 0
        self._block("__init__")

    def _block(self, where: str) -> None:
        if where == self.where:
            time.sleep(self.seconds)

    async def on_start(self) -> None:
        self._block("on_start")

    async def run(self) -> None:
        self._block("run")

    async def on_stop(self, reason: str) -> None:
        self._block("on_stop")

    async def sleeps(self, seconds: float) -> int:
        time.sleep(seconds)  # noqa: ASYNC251  (it must not, and that is the point)
        self.done += 1
        return self.done

    async def begins(self, seconds: float) -> None:
        async def of_its_own() -> None:
            time.sleep(seconds)  # noqa: ASYNC251  (it must not, and that is the point)

        self.task = asyncio.create_task(of_its_own())

    async def sleeps_once(self, seconds: float) -> int:
        """Blocks the first time that it is handled, on whichever node."""
        if not slept:
            slept.append(self.child_id)
            time.sleep(seconds)  # noqa: ASYNC251  (it must not, and that is the point)
        self.done += 1
        return self.done

    transient = ("task",)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "has stood still" in record.getMessage()]


async def events(hub: Hub, kind: str) -> list[dict[str, str]]:
    found = await asyncio.to_thread(lambda: hub.inspect.events(1000, [kind])[1])
    return [event.fields for event in found]


def test_no_lease_is_lost_and_the_answer_comes(make_hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(**FAST)
        hub.child(Blocker)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            await hub.aio.start_child("x", Blocker)
            assert await hub.aio.ref("x").call("sleeps", 2.0, timeout=20) == 1
            assert await events(hub, "node_evicted") == []
            # (On a busy machine a loop may stand still by itself while the nodes start.)
            (event,) = [event for event in await events(hub, "loop_blocked") if event["child"]]
            assert (event["child"], event["method"]) == ("x", "sleeps")
            (line,) = [line for line in told(caplog) if "for 1" in line and "x.sleeps" in line]
            assert "time.sleep(seconds)" in line
            await eventually(lambda: [True for r in caplog.records if "turns again" in r.getMessage()], 10, "told")
            assert await hub.aio.ref("x").call("sleeps", 0) == 2

    with caplog.at_level(logging.WARNING, "hubq.node"):
        asyncio.run(scenario())


@pytest.mark.parametrize("where", ["__init__", "on_start", "run", "on_stop"])
def test_what_blocks_is_named(make_hub: Any, caplog: pytest.LogCaptureFixture, where: str) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1, **FAST)
        hub.child(Blocker)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("x", Blocker, where, 1.4)
            if where == "on_stop":
                await hub.aio.stop_child("x")
            await eventually(lambda: told(caplog), 10, "told")
            assert f"in x.{where}." in told(caplog)[0]

    with caplog.at_level(logging.WARNING, "hubq.node"):
        asyncio.run(scenario())


def test_a_task_of_its_own_is_described(make_hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1, **FAST)
        hub.child(Blocker)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("x", Blocker)
            await hub.aio.ref("x").call("begins", 1.4, timeout=20)
            await eventually(lambda: told(caplog), 10, "told")
            assert "of_its_own (test_blocked_loops.py:" in "".join(told(caplog))

    with caplog.at_level(logging.WARNING, "hubq.node"):
        asyncio.run(scenario())


def test_past_the_stall_limit_its_node_alone_ends_and_another_takes_over(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2, stall_limit=2, **FAST)
        hub.child(Blocker)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            await hub.aio.start_child("x", Blocker)
            slept.clear()
            before = (await asyncio.to_thread(lambda: hub.where("x"))).node
            assert before
            assert await hub.aio.ref("x").call("sleeps_once", 2.8, timeout=20) == 1, "the other node has run it"
            assert cluster.ended == {before: 70}
            (event,) = await events(hub, "loop_stalled")
            assert (event["node"], event["child"], event["method"]) == (before, "x", "sleeps_once")
            assert await events(hub, "node_evicted") == [], "it gave its lease up"

    asyncio.run(scenario())
