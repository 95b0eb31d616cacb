"""``handler_timeout``: a handler that takes too long is undone, and its caller told."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, ClassVar

import pytest

from hubq import Child, ConfigError, HandlerOverdue, Hub, time_limit
from hubq.testing import Cluster


class Slow(Child):
    handler_timeout = 0.1
    gate: ClassVar[threading.Event]

    def __init__(self) -> None:
        self.n = 0

    async def hang(self) -> None:
        self.n += 1
        await asyncio.Event().wait()

    async def own_timeout(self) -> None:
        raise TimeoutError("mine")

    @time_limit(None)
    async def patient(self) -> int:
        await asyncio.sleep(0.3)
        self.n += 1
        return self.n

    @time_limit(0.05)
    async def stubborn(self) -> str:
        self.n += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
        return "done all the same"

    def in_a_thread(self) -> None:
        self.n += 1
        assert self.gate.wait(20)

    async def number(self) -> int:
        return self.n


def test_an_overdue_handler_is_undone_and_answered(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        Slow.gate = threading.Event()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Slow)
            ref = hub.aio.ref("c")
            with pytest.raises(HandlerOverdue, match=r"c\.hang was cancelled, its handler_timeout is 0\.1 s"):
                await ref.call("hang", timeout=20)
            await ref.cast("hang")
            assert await ref.call("number", timeout=20) == 0
            with pytest.raises(Exception, match="mine") as caught:
                await ref.call("own_timeout")
            assert not isinstance(caught.value, HandlerOverdue)
            with pytest.raises(HandlerOverdue, match="went on though it was cancelled"):
                await ref.call("stubborn", timeout=20)
            late = asyncio.create_task(ref.call("in_a_thread", timeout=20))
            asyncio.get_running_loop().call_later(0.2, Slow.gate.set)
            with pytest.raises(HandlerOverdue, match="in its thread, which cannot be cancelled"):
                await late
            assert await ref.call("number") == 0
            assert await ref.call("patient", timeout=20) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("limit", [0, -1, "5", True, float("inf"), float("nan")])
def test_a_limit_is_seconds(limit: Any) -> None:
    with pytest.raises(ConfigError, match="give seconds above 0, or None"):
        time_limit(limit)
    with pytest.raises(ConfigError, match=r"Quick\.handler_timeout="):
        Hub("h").child(handler_timeout=limit)(type("Quick", (Child,), {}))
