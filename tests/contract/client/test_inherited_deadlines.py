"""A call that a handler makes takes at most what is left of the time of its own message."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import pytest

from hubq import CallTimeout, Child, current_hub
from hubq.testing import Cluster, eventually


class Front(Child):
    def __init__(self) -> None:
        self.seen: list[str] = []
        self.took = 0.0
        self.tasks: list[asyncio.Task[Any]] = []

    transient = ("tasks",)

    async def ask(self, timeout: float) -> str:
        return await self._asked(lambda: current_hub().aio.ref("back").call("slow", timeout=timeout))

    async def begin(self, timeout: float) -> str:
        async def wait() -> Any:
            return await current_hub().aio.ref("back").options(timeout=timeout).begin("slow")

        return await self._asked(wait)

    def ask_in_thread(self, timeout: float) -> str:
        began = time.monotonic()
        try:
            return str(current_hub().ref("back").call("slow", timeout=timeout))
        except CallTimeout as error:
            self.seen.append(str(error))
            return "out of time"
        finally:
            self.took = time.monotonic() - began

    async def ask_late(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            await current_hub().aio.ref("back").call("name")
        except CallTimeout as error:
            self.seen.append(f"{error.may_run} {error}")

    async def leave_behind(self) -> None:
        async def later() -> None:
            await asyncio.sleep(1.2)
            self.seen.append(await current_hub().aio.ref("back").call("name"))

        self.tasks.append(asyncio.create_task(later()))

    async def _asked(self, ask: Any) -> str:
        began = time.monotonic()
        try:
            return str(await ask())
        except CallTimeout as error:
            self.seen.append(str(error))
            return "out of time"
        finally:
            self.took = time.monotonic() - began

    async def all_seen(self) -> tuple[list[str], float]:
        return self.seen, self.took


class Back(Child):
    async def slow(self) -> str:
        await asyncio.sleep(3)
        return "done"

    async def name(self) -> str:
        return self.child_id


@pytest.fixture
def play(make_hub: Any) -> Any:
    def run(scenario: Any) -> None:
        async def whole() -> None:
            hub = make_hub(shards=4)
            async with Cluster(hub) as cluster:
                await cluster.start("one")
                await hub.aio.start_child("front", Front)
                await hub.aio.start_child("back", Back)
                await asyncio.wait_for(scenario(hub), 20)

        asyncio.run(whole())

    return run


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("method", ["ask", "begin", "ask_in_thread"])
def test_no_call_outlives_the_caller_of_its_handler(play: Any, method: str) -> None:
    async def scenario(hub: Any) -> None:
        front = hub.aio.ref("front")
        with contextlib.suppress(CallTimeout):  # both are over at the same moment: its answer may come just in time
            assert await front.call(method, 30.0, timeout=0.6) == "out of time"
        (said,), took = await front.call("all_seen")
        assert said.startswith("back.slow did not answer within 0.") and took < 2.5

    play(scenario)


def test_a_shorter_time_out_counts_and_an_answer_in_time_is_an_answer(play: Any) -> None:
    async def scenario(hub: Any) -> None:
        front = hub.aio.ref("front")
        assert await front.call("ask", 0.2, timeout=30.0) == "out of time"
        assert await front.call("ask", 20.0, timeout=30.0) == "done"

    play(scenario)


def test_a_call_for_which_no_time_is_left_is_not_sent(play: Any) -> None:
    async def scenario(hub: Any) -> None:
        front = hub.aio.ref("front")
        with pytest.raises(CallTimeout):
            await front.call("ask_late", 0.6, timeout=0.2)
        (said,), _ = await front.call("all_seen")
        assert said == "False back.name was not sent: the time of front.ask_late, which makes this call, is over"

    play(scenario)


def test_casts_run_and_tasks_left_behind_have_all_the_time_they_want(play: Any) -> None:
    async def scenario(hub: Any) -> None:
        front = hub.aio.ref("front")
        await front.call("leave_behind", timeout=1.0)
        await front.cast("ask", 20.0)

        async def all_there() -> bool:
            seen, took = await front.call("all_seen")
            return seen == ["back"] and took > 2.0

        await eventually(all_there, what="the cast waited for its answer, and the task for its own")

    play(scenario)
