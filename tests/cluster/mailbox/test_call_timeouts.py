"""What a caller whose time is over can know: whether its call was run, and that a call past its deadline never is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import CallTimeout, Hub, StartFailed
from hubq.testing import Cluster, LedgerChild, eventually, moments, probe

HELD: dict[str, asyncio.Event] = {}


class Desk(LedgerChild):
    """May be kept busy, or be unable to start on a node."""

    refuse = False

    async def hold(self, name: str) -> str:
        await HELD.setdefault(name, asyncio.Event()).wait()
        return name

    async def on_start(self) -> None:
        if type(self).refuse:
            raise RuntimeError("not today")


class Drawer(Desk):
    """Answers before it has saved anything; what a crash undoes is run again, even past its deadline."""

    durability = "interval"
    save_every, save_after = 60.0, 1000


@pytest.fixture(autouse=True)
def nothing_held() -> None:
    HELD.clear()
    Desk.refuse = Drawer.refuse = False


@pytest.fixture
def hub(make_hub: Any) -> Hub:
    hub: Hub = make_hub(shards=4)
    hub.child(Desk)
    hub.child(Drawer)
    return hub


def let_go(name: str) -> None:
    HELD.setdefault(name, asyncio.Event()).set()


@pytest.mark.parametrize("how", ["async", "sync"])
def test_a_call_that_waits_is_withdrawn_and_one_that_runs_is_not(hub: Hub, how: str) -> None:
    async def call(*args: Any, timeout: float) -> Any:
        if how == "async":
            return await hub.aio.ref("desk").call(*args, timeout=timeout)
        return await asyncio.to_thread(lambda: hub.ref("desk").call(*args, timeout=timeout))

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("desk", Desk)
            with pytest.raises(CallTimeout, match="may have been run, or be running still") as running:
                await call("hold", "first", timeout=0.3)
            assert running.value.may_run
            with pytest.raises(CallTimeout, match="was not run: it still waited behind 1 message$") as waiting:
                await call("record", "x", 1, timeout=0.3)
            assert not waiting.value.may_run
            let_go("first")
            assert await call("record", "y", 1, timeout=10) == 1
            assert await call("entries", timeout=10) == {"y": [1]}

    asyncio.run(scenario())


def test_a_call_to_a_hub_without_workers_is_not_run_later(hub: Hub) -> None:
    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            with pytest.raises(CallTimeout):
                await hub.aio.start_child("desk", Desk, timeout=0.05)
            with pytest.raises(CallTimeout, match="was not run, and will not be: no node serves it") as never:
                await hub.aio.ref("desk").call("record", "x", 1, timeout=0.05)
            assert not never.value.may_run
            await cluster.start("a")
            assert await hub.aio.ref("desk").call("entries", timeout=10) == {}
            assert await cluster.drain("a")
            with pytest.raises(CallTimeout, match="no node serves it: start a worker") as parked:
                await hub.aio.ref("desk").call("record", "x", 2, timeout=0.05)
            assert parked.value.may_run, "a node had it; what it did with the call nobody knows"
            await cluster.start("b")
            assert await hub.aio.ref("desk").call("entries", timeout=10) == {}, "past its deadline it is not run"

    asyncio.run(scenario())


def test_what_was_never_begun_is_not_taken_for_what_a_crash_has_undone(hub: Hub) -> None:
    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            with pytest.raises(CallTimeout):
                await hub.aio.start_child("drawer", Drawer, timeout=0.05)
            with pytest.raises(CallTimeout, match="was not run, and will not be") as never:
                await hub.aio.ref("drawer").call("record", "x", 1, timeout=0.05)
            assert not never.value.may_run
            await cluster.start("a")
            assert await hub.aio.ref("drawer").call("entries", timeout=10) == {}

    asyncio.run(scenario())


def test_a_call_that_was_withdrawn_is_not_run_after_a_crash(hub: Hub) -> None:
    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("drawer", Drawer)
            assert await hub.aio.ref("drawer").call("record", "x", 1, timeout=10) == 1
            held = asyncio.ensure_future(hub.aio.ref("drawer").call("hold", "first", timeout=30))
            await eventually(lambda: bool(probe(cluster.nodes["a"]).busy))
            with pytest.raises(CallTimeout) as waiting:
                await hub.aio.ref("drawer").call("record", "x", 2, timeout=0.3)
            assert not waiting.value.may_run
            await cluster.kill("a")
            let_go("first")
            await cluster.start("b")
            assert await held == "first"
            assert await hub.aio.ref("drawer").call("entries", timeout=10) == {"x": [1]}

    asyncio.run(scenario())


def test_calls_withdrawn_from_a_full_queue_leave_room_for_what_waits_behind(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1, queue_limit=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("desk", Desk)
            held = asyncio.ensure_future(hub.aio.ref("desk").call("hold", "first", timeout=30))
            await eventually(lambda: bool(probe(cluster.nodes["a"]).busy))
            gives_up = asyncio.ensure_future(hub.aio.ref("desk").call("record", "x", 1, timeout=0.3))
            desk = probe(cluster.nodes["a"]).the_child("desk")
            await eventually(lambda: desk.waiting == 1)
            for number in (2, 3, 4):
                await hub.aio.ref("desk").cast("record", "x", number)
            with pytest.raises(CallTimeout) as waiting:
                await gives_up
            assert not waiting.value.may_run
            let_go("first")
            assert await held == "first"
            assert await hub.aio.ref("desk").call("entries", timeout=10) == {"x": [2, 3, 4]}

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", [Desk, Drawer])
def test_a_call_to_a_parked_child_says_so(hub: Hub, kind: type[Desk]) -> None:
    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("desk", kind)
            await hub.aio.ref("desk").call("record", "x", 1)
            kind.refuse = True
            assert await cluster.drain("a")
            await cluster.start("b")
            if kind is Drawer:
                # What it was told before it came here, it may have answered elsewhere: nobody says that it was not run.
                with pytest.raises(CallTimeout, match="may have been run"):
                    await hub.aio.ref("desk").call("record", "y", 1, timeout=1.2)
            with pytest.raises(CallTimeout, match="was not run: child 'desk' is parked: on_start raised") as error:
                await hub.aio.ref("desk").call("record", "x", 2, timeout=1.0)
            assert not error.value.may_run
            kind.refuse = False
            assert await cluster.drain("b")
            await cluster.start("c")
            assert (await hub.aio.ref("desk").call("entries", timeout=10))["x"] == [1]
            kind.refuse = True
            assert await cluster.drain("c")
            await cluster.start("b")
            assert (await hub.aio.stop_child("desk", timeout=5)).stopped == {"desk": "b"}
            assert await hub.aio.children() == []

    asyncio.run(scenario())


def test_a_frozen_node_cannot_say(hub: Hub) -> None:
    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("desk", Desk)
            cluster.freeze("a")
            with pytest.raises(CallTimeout) as error:
                await hub.aio.ref("desk").call("record", "x", 1, timeout=0.1)
            assert error.value.may_run
            cluster.thaw("a")
            await eventually(lambda: cluster.copies("desk"), 10, "it serves again")
            assert await hub.aio.ref("desk").call("entries", timeout=10) == {}, "past its deadline it is not run"

    asyncio.run(scenario())


def test_a_failed_first_start_leaves_nothing(hub: Hub) -> None:
    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            Desk.refuse = True
            with pytest.raises(StartFailed, match="not today"):
                await hub.aio.start_child("desk", Desk)
            assert await hub.aio.children() == []

    asyncio.run(scenario())


def test_what_was_never_begun_is_not_begun_after_a_crash_of_the_first_worker(make_hub: Any) -> None:
    """Its caller was told that it will not be run, as there was no worker; the first one dies before its first commit."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        hub.child(Drawer)
        async with Cluster(hub) as cluster:
            with pytest.raises(CallTimeout):
                await hub.aio.start_child("drawer", Drawer, timeout=0.05)
            with pytest.raises(CallTimeout, match="was not run, and will not be") as never:
                await hub.aio.ref("drawer").call("record", "x", 1, timeout=0.05)
            assert not never.value.may_run
            with moments.no_commits():
                node = await cluster.start("a")
                await eventually(lambda: probe(node).handled, 10, "it has read the call")
                await cluster.kill("a")
            await cluster.start("b")
            assert await hub.aio.ref("drawer").call("entries", timeout=20) == {}

    asyncio.run(scenario())
