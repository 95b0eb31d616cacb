"""The limits of a child's life: how often its ``run()`` may end, and how long it may take to stop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, ClassVar

import pytest

from hubq import Child, HotSwap, Hub
from hubq.core.lifecycle import Life
from hubq.node.node import Node
from hubq.testing import Cluster, eventually, probe


class Hopeless(Child):
    """Fails as soon as it runs, on every node."""

    restart_within = 3600.0  # so that a slow machine is no excuse
    runs: ClassVar[dict[str, int]] = {}

    async def run(self) -> None:
        Hopeless.runs[self.node_name] = Hopeless.runs.get(self.node_name, 0) + 1
        raise RuntimeError("always")


def life_of(node: Node, child: str) -> Life | None:
    found = probe(node).child(child)
    return None if found is None else found.life


def test_a_hundred_restarts_are_allowed_and_no_more(make_hub: Any) -> None:
    async def scenario() -> None:
        Hopeless.runs.clear()
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("x", Hopeless)
            await eventually(lambda: life_of(node, "x") is Life.PARKED, 60.0, "it is parked")

            async def told() -> str:
                return (await hub.aio.child_lookup("x")).reason

            assert "run() ended more than 100 times in 3600 s" in await eventually(told, 10.0, "why it is parked")
            assert Hopeless.runs == {"a": 101}, "the first run, and a hundred restarts"

    asyncio.run(scenario())


class Unlucky(Child):
    """Its ``run()`` fails when it is told to."""

    max_restarts = 1
    restart_within = 0.05
    runs: ClassVar[list[float]] = []
    fail: ClassVar[asyncio.Event]

    async def run(self) -> None:
        Unlucky.fail = asyncio.Event()
        Unlucky.runs.append(asyncio.get_running_loop().time())
        await Unlucky.fail.wait()
        raise RuntimeError("again")


def test_restarts_that_are_far_enough_apart_never_park_it(make_hub: Any) -> None:
    async def scenario() -> None:
        Unlucky.runs.clear()
        hub: Hub = make_hub(shards=1)
        loop = asyncio.get_running_loop()
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("x", Unlucky)
            for times in range(1, 6):
                await eventually(lambda times=times: len(Unlucky.runs) == times, 10.0, f"run() has begun {times} times")
                await eventually(lambda: loop.time() > Unlucky.runs[-1] + 2 * Unlucky.restart_within)
                Unlucky.fail.set()
            await eventually(lambda: len(Unlucky.runs) == 6)
            Unlucky.fail.set()  # and now twice, as quickly as can be
            await eventually(lambda: len(Unlucky.runs) == 7 or life_of(node, "x") is Life.PARKED)
            Unlucky.fail.set()
            if Unlucky.runs[-1] - Unlucky.runs[-2] < Unlucky.restart_within / 2:
                await eventually(lambda: life_of(node, "x") is Life.PARKED, 10.0, "it is parked")

    asyncio.run(scenario())


class Clinging(Child):
    """Does not let go when it is told to: neither its ``on_stop`` nor its ``run()`` ends by itself."""

    def __init__(self) -> None:
        self.count = 0

    stopping: ClassVar[list[str]] = []
    given_up: ClassVar[list[str]] = []
    let_go: ClassVar[asyncio.Event]

    async def add(self) -> int:
        self.count += 1
        return self.count

    async def cling(self) -> None:
        self.count = 1000
        while not Clinging.let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await Clinging.let_go.wait()

    async def run(self) -> None:
        while not Clinging.let_go.is_set():
            try:
                await Clinging.let_go.wait()
            except asyncio.CancelledError:
                if f"run on {self.node_name}" not in Clinging.stopping:
                    Clinging.stopping.append(f"run on {self.node_name}")

    async def on_stop(self, reason: str) -> None:
        Clinging.stopping.append(f"{reason} on {self.node_name}")
        try:
            await asyncio.Event().wait()
        finally:
            Clinging.given_up.append(f"{reason} on {self.node_name}")


@pytest.mark.parametrize("how", ["drained", "stopped"])
def test_a_child_that_does_not_stop_is_waited_for_no_longer_than_stop_timeout(
    make_hub: Any, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    async def scenario() -> None:
        Clinging.stopping.clear()
        Clinging.given_up.clear()
        Clinging.let_go = asyncio.Event()
        hub: Hub = make_hub(shards=1, stop_timeout=0.2, migration=HotSwap(handover_data_wait=30.0))
        async with Cluster(hub) as cluster:
            try:
                await cluster.start("a", "b")
                await hub.aio.start_child("x", Clinging)
                here = (await hub.aio.where("x")).node
                assert here is not None and await hub.aio.ref("x").call("add") == 1
                if how == "drained":
                    assert await cluster.drain(here), "in time: without the limit it would never have left"
                    assert await hub.aio.ref("x").call("add", timeout=20) == 2, "it has moved with its state"
                    reason = f"migrated on {here}"
                else:
                    await hub.aio.stop_child("x")
                    reason = f"stopped on {here}"
                await eventually(lambda: reason in Clinging.given_up, 10.0, "on_stop was given up")
                assert Clinging.stopping[:2] == [f"run on {here}", reason], "first run(), then on_stop()"
                assert "on_stop of child x took longer than 0.2 s" in caplog.text
            finally:
                Clinging.let_go.set()

    asyncio.run(scenario())


class Gripping(Clinging):
    """Only its handler does not end."""

    async def run(self) -> None:
        """Nothing."""

    async def on_stop(self, reason: str) -> None:
        """Nothing."""


@pytest.mark.parametrize("in_time", [True, False])
def test_a_node_ends_without_a_handler_that_does_not(
    make_hub: Any, caplog: pytest.LogCaptureFixture, in_time: bool
) -> None:
    """And if it is not drained in time, it says that it goes: nobody has to wait for its lease."""

    async def scenario() -> None:
        Clinging.let_go = asyncio.Event()
        migration = HotSwap(retention=0.1 if in_time else 60.0)
        hub: Hub = make_hub(shards=1, stop_timeout=0.2, lease=600.0, migration=migration)
        async with Cluster(hub) as cluster:
            try:
                await cluster.start("a", "b")
                await hub.aio.start_child("x", Gripping)
                here = (await hub.aio.where("x")).node
                assert here is not None and await hub.aio.ref("x").call("add") == 1
                await hub.aio.ref("x").cast("cling")
                child = probe(cluster.nodes[here]).the_child("x")
                await eventually(lambda: child.busy, 10.0, "it clings")
                assert await cluster.drain(here, 20.0 if in_time else 0.2) is in_time
                assert f"a handler on node {here} goes on though it was cancelled" in caplog.text

                async def begun() -> bool:
                    (other,) = cluster.nodes.values()
                    return bool(probe(other).busy)

                await eventually(begun, 20.0, "the message has begun anew on the other node")
                Clinging.let_go.set()
                assert await hub.aio.ref("x").call("add", timeout=20) == 1001
            finally:
                Clinging.let_go.set()

    asyncio.run(scenario())
