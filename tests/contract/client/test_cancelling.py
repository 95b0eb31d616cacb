"""Calls that are begun, awaited later, and cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hubq import CallFailed, CallTimeout, Cancelled, Child, Hub, NotCancelled, UnknownChild, UnknownMethod
from hubq.testing import Cluster, eventually

GATES: dict[str, threading.Event] = {}
#: What handlers have in hand.
BEGUN: list[str] = []


class Press(Child):
    def __init__(self) -> None:
        self.printed: list[str] = []

    async def render(self, what: str, seconds: float = 60.0) -> int:
        self.printed.append(what)
        BEGUN.append(what)
        await asyncio.sleep(seconds)
        return len(self.printed)

    async def stubborn(self, what: str) -> int:
        self.printed.append(what)
        BEGUN.append(what)
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return len(self.printed)
        return 0

    def in_a_thread(self, gate: str) -> str:
        BEGUN.append(gate)
        GATES[gate].wait(10)
        return gate

    async def fail(self) -> None:
        raise ValueError("no")

    async def all(self) -> list[str]:
        return self.printed


class Diary(Press):
    durability = "interval"
    save_every = 30.0


class Careless(Press):
    on_error = "keep"


Scenario = Callable[[Hub, Cluster], Awaitable[None]]


@pytest.fixture
def play(make_hub: Any) -> Callable[[Scenario], None]:
    """Runs a scenario on a hub with a node and a child of each class."""

    def run(scenario: Scenario) -> None:
        async def whole() -> None:
            hub = make_hub(shards=2)
            async with Cluster(hub) as cluster:
                await cluster.start("one")
                for kind in (Press, Diary, Careless):
                    await hub.aio.start_child(kind.__name__, kind)
                await scenario(hub, cluster)

        asyncio.run(whole())

    return run


async def begun(what: str) -> None:
    await eventually(lambda: what in BEGUN, 5, f"{what} is in hand")
    BEGUN.remove(what)


def test_begun_and_awaited_later(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        press = hub.aio.ref(Press, "Press")
        future = press.begin(Press.render, "a", 0.05)
        assert not future.done
        assert await future == 1
        assert future.done and await future == 1
        assert not await future.cancel(), "it was done"
        failed = hub.aio.ref("Press").begin("fail")
        with pytest.raises(CallFailed, match="raised ValueError"):
            await failed
        with pytest.raises(UnknownChild):
            await hub.aio.ref("nobody").begin("post")
        with pytest.raises(UnknownMethod):
            press.begin("nope")
        nobody = hub.aio.ref("nobody").begin("post")
        assert not await nobody.cancel(), "it was never sent"
        with pytest.raises(UnknownChild):
            await nobody

    play(scenario)


@pytest.mark.parametrize("name", ["Press", "Diary"])
def test_a_call_in_hand_is_undone(play: Any, name: str) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        press = hub.aio.ref(Press, name).options(timeout=30)
        assert await press.call(Press.render, "kept", 0) == 1
        future = press.begin(Press.render, "undone")
        waiting = press.begin(Press.render, "withdrawn")
        after = press.begin(Press.all)
        await begun("undone")
        assert await waiting.cancel()
        assert await future.cancel()
        with pytest.raises(Cancelled, match=rf"^{name}\.render was cancelled while it ran: nothing of it was applied$"):
            await future
        with pytest.raises(Cancelled, match=rf"^{name}\.render was cancelled before its turn$"):
            await waiting
        assert await after == ["kept"]
        assert not await after.cancel()

    play(scenario)


def test_a_call_that_has_just_been_sent(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        press = hub.aio.ref(Press, "Press").options(timeout=30)
        futures = [press.begin(Press.render, str(n)) for n in range(5)]
        assert await asyncio.gather(*[future.cancel() for future in futures]) == [True] * 5
        assert await press.call(Press.all) == []

    play(scenario)


def test_what_cannot_be_cancelled(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        press = hub.aio.ref(Press, "Press").options(timeout=30)
        gate = GATES[hub.hub_id] = threading.Event()
        future = press.begin(Press.in_a_thread, hub.hub_id)

        await begun(hub.hub_id)
        with pytest.raises(NotCancelled, match=r"is a plain `def` and runs in a thread, which cannot be cancelled"):
            await future.cancel()
        gate.set()
        assert await future == hub.hub_id
        stubborn = press.begin(Press.stubborn, "x")
        await begun("x")
        assert not await stubborn.cancel(), "it has gone on, and is done"
        assert await stubborn == 1
        careless = hub.aio.ref(Press, "Careless").begin(Press.render, "half")
        await begun("half")
        assert await careless.cancel()
        with pytest.raises(Cancelled, match=r"what it had changed stays \(on_error='keep'\)"):
            await careless
        assert await hub.aio.ref(Press, "Careless").call(Press.all) == ["half"]

    play(scenario)


def test_nobody_serves_it(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2)
        async with Cluster(hub) as cluster:
            await cluster.start("one")
            await hub.aio.start_child("Press", Press)
            await cluster.drain("one")
            future = hub.aio.ref(Press, "Press").options(timeout=0.3).begin(Press.all)
            with pytest.raises(NotCancelled, match="no node serves it, start a worker"):
                await future.cancel()
            with pytest.raises(CallTimeout):
                await future

    asyncio.run(scenario())


def test_cancelled_when_its_time_is_over(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        brief = hub.aio.ref(Press, "Press").options(timeout=0.1, cancel_on_timeout=True)
        with pytest.raises(CallTimeout, match=r"within 0\.1 s, and was cancelled: nothing of it was applied") as caught:
            await brief.call(Press.render, "undone")
        assert not caught.value.may_run
        assert await hub.aio.ref(Press, "Press").call(Press.all) == []
        with pytest.raises(CallTimeout, match="was cancelled"):
            await asyncio.to_thread(
                hub.ref("Press").options(timeout=0.1, cancel_on_timeout=True).call, "render", "undone"
            )
        assert await hub.aio.ref(Press, "Press").call(Press.all) == []
        GATES[hub.hub_id] = threading.Event()
        with pytest.raises(CallTimeout, match="it may have been run, or be running still") as caught:
            await brief.call(Press.in_a_thread, hub.hub_id)
        assert caught.value.may_run
        GATES[hub.hub_id].set()

    play(scenario)


def test_the_waiting_half(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        def waiting() -> None:
            press = hub.ref(Press, "Press").options(timeout=30)
            first = press.begin(Press.render, "a", 0.3)
            with pytest.raises(CallTimeout, match=r"Press\.render has not answered within 0\.05 s: ask again"):
                first.result(0.05)
            assert not first.done
            assert first.result() == 1 == first.result(0.01)
            assert first.done and not first.cancel()
            second = press.begin(Press.render, "b")
            told: list[BaseException] = []

            def ask() -> None:
                try:
                    second.result()
                except Cancelled as error:
                    told.append(error)

            other = threading.Thread(target=ask)
            other.start()
            assert second.cancel(), "while another thread waits for it"
            other.join(5)
            assert [type(error) for error in told] == [Cancelled]
            with pytest.raises(Cancelled):
                second.result()
            brief = press.options(timeout=0.05).begin(Press.render, "c", 0.6)
            with pytest.raises(CallTimeout, match=r"within 0\.05 s; it may have been run"):
                brief.result()
            assert press.call(Press.all) == ["a", "c"]
            with pytest.raises(UnknownChild):
                hub.ref("nobody").begin("post")

        await asyncio.to_thread(waiting)

    play(scenario)


def test_cancelled_through_a_move(play: Any) -> None:
    async def scenario(hub: Hub, cluster: Cluster) -> None:
        press = hub.aio.ref(Press, "Press").options(timeout=30)
        future = press.begin(Press.render, "undone")
        await begun("undone")
        await cluster.start("two")
        moving = asyncio.ensure_future(cluster.drain("one"))

        async def cancelled() -> bool:
            try:
                return await future.cancel(1.0)
            except NotCancelled:
                return False  # it was just being given away

        await eventually(cancelled, 15, "it is cancelled, wherever it is")
        await moving
        with pytest.raises(Cancelled):
            await future
        assert await press.call(Press.all) == []

    play(scenario)
