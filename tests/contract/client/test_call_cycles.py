"""A call that would come back to a child that waits for it is refused at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hubq import CallCycle, CallFailed, Child, Hub, current_hub
from hubq.testing import Cluster, eventually


class Link(Child):
    def __init__(self) -> None:
        self.left: asyncio.Task[Any] | None = None
        self.seen: list[str] = []

    transient = ("left",)

    async def pass_on(self, way: list[str], last: str = "name") -> str:
        """Call the next one, which calls the one after it; the last one is asked for its name."""
        hub = current_hub().aio
        if len(way) > 1:
            return str(await hub.ref(Link, way[0]).call(Link.pass_on, way[1:], last))
        return str(await hub.ref(way[0]).call(last))

    def in_a_thread(self, way: list[str]) -> str:
        return str(current_hub().ref(Link, way[0]).call(Link.pass_on, way[1:]))

    async def in_a_task(self, way: list[str]) -> str:
        (answer,) = await asyncio.gather(self.pass_on(way))
        return answer

    async def leave_behind(self, child: str) -> None:
        """A task that outlives the message: nobody waits for it."""

        async def later() -> None:
            await asyncio.sleep(0.01)
            self.seen.append(await current_hub().aio.ref(Link, child).call(Link.name))

        self.left = asyncio.create_task(later())

    async def left_over(self) -> list[str]:
        return self.seen

    async def name(self) -> str:
        return self.child_id


Scenario = Callable[[Hub], Awaitable[None]]


@pytest.fixture
def play(make_hub: Any) -> Callable[[Scenario], None]:
    """Runs a scenario on a hub with the children a, b and c."""

    def run(scenario: Scenario) -> None:
        async def whole() -> None:
            hub = make_hub(shards=4)
            async with Cluster(hub) as cluster:
                await cluster.start("one", "two")
                for child in "abc":
                    await hub.aio.start_child(child, Link)
                await asyncio.wait_for(scenario(hub), 8)

        asyncio.run(whole())

    return run


@pytest.mark.long_on_fakeredis
def test_a_cycle_is_named_at_once(play: Any) -> None:
    async def scenario(hub: Hub) -> None:
        a = hub.aio.ref(Link, "a")
        assert await a.call(Link.pass_on, ["b", "c"]) == "c", "a chain is none"
        with pytest.raises(CallCycle, match=r"^a -> b -> c -> a\.pass_on: child 'a' waits for this call"):
            await a.call(Link.pass_on, ["b", "c", "a", "b"])
        with pytest.raises(CallCycle, match=r"^b -> c -> b\.pass_on: child 'b' waits"):
            await a.call(Link.in_a_task, ["b", "c", "b", "a"])
        with pytest.raises(CallCycle, match=r"^a -> b -> a\.pass_on: child 'a' waits"):
            await a.call(Link.in_a_thread, ["b", "a", "c"])
        # By name alone the method is not known: it might be a @read. The node of the child refuses it.
        with pytest.raises(CallCycle, match=r"^a -> b -> a\.name: child 'a' waits"):
            await a.call(Link.pass_on, ["b", "a"])
        with pytest.raises(CallCycle, match=r"^a -> a\.name"):
            await a.call(Link.pass_on, ["a"])
        assert await a.call(Link.pass_on, ["b", "c"]) == "c"

    play(scenario)


def test_what_a_handler_leaves_behind_waits_for_nobody(play: Any) -> None:
    async def scenario(hub: Hub) -> None:
        a = hub.aio.ref(Link, "a")
        await a.call(Link.leave_behind, "a")

        async def called() -> bool:
            return await a.call(Link.left_over) == ["a"]

        await eventually(called, 5, "it has called its own child")

    play(scenario)


def test_an_error_behind_a_chain_is_told_as_ever(play: Any) -> None:
    async def scenario(hub: Hub) -> None:
        with pytest.raises(CallFailed, match="missing 1 required positional argument"):
            await hub.aio.ref("a").call("pass_on", ["b", "c"], "leave_behind")

    play(scenario)
