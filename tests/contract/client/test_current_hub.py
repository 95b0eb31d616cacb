"""``current_hub()``: the hub at hand wherever a child's code runs, and nowhere else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import CallFailed, Child, NoCurrentHub, WaitsInEventLoop, current_hub
from hubq.testing import Cluster, eventually


class Curious(Child):
    transient = ("started_in",)

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def on_start(self) -> None:
        self.started_in = current_hub().hub_id

    async def run(self) -> None:
        self.seen.append(current_hub().hub_id)

    async def awaiting(self) -> str:
        await asyncio.sleep(0)
        return current_hub().hub_id

    def in_a_thread(self) -> str:
        return current_hub().hub_id

    async def others(self) -> list[str]:
        return [self.started_in, *self.seen]

    async def call_and_wait(self, child_id: str) -> str:
        return str(current_hub().ref(child_id).call("awaiting"))

    def call_in_a_thread(self, child_id: str) -> str:
        return str(current_hub().ref(child_id).call("awaiting"))

    async def call(self, child_id: str) -> str:
        return str(await current_hub().aio.ref(child_id).call("awaiting"))


def test_children_have_their_hub_at_hand_and_their_starter_has_not(make_hub: Any) -> None:
    one, two = make_hub(shards=2), make_hub(shards=2)

    async def scenario() -> None:
        async with Cluster(one) as first, Cluster(two) as second:
            await first.start("a")
            await second.start("a")
            for hub in (one, two):
                await hub.aio.start_child("x", Curious)
                await hub.aio.start_child("y", Curious)
                ref = hub.aio.ref("x")
                assert await ref.call("awaiting") == await ref.call("in_a_thread") == await ref.call("call", "y")
                assert await ref.call("awaiting") == hub.hub_id

                async def ran(ref: Any = ref, hub: Any = hub) -> bool:
                    return bool(await ref.call("others") == [hub.hub_id] * 2)

                await eventually(ran, what="run() and on_start saw it, too")
            with pytest.raises(NoCurrentHub, match="inside children and jobs"):
                current_hub()

    asyncio.run(scenario())


def test_the_waiting_half_is_refused_in_an_event_loop(make_hub: Any) -> None:
    hub = make_hub(shards=2)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("x", Curious)
            await hub.aio.start_child("y", Curious)
            with pytest.raises(CallFailed, match=r"hub\.aio") as caught:
                await hub.aio.ref("x").call("call_and_wait", "y")
            assert caught.value.remote_type == "WaitsInEventLoop"
            assert await hub.aio.ref("x").call("call_in_a_thread", "y") == hub.hub_id
            future = await asyncio.to_thread(hub.start_child, "z", Curious)
            refused = [
                lambda: hub.ref("x").call("awaiting"), lambda: hub.ref("x").cast("awaiting"), hub.nodes, hub.children,
                lambda: hub.start_child("w", Curious), lambda: hub.stop_child("x"), future.result,
                lambda: hub.inspect.state("x"), lambda: hub.cast_many([("x", "awaiting")]),
            ]  # fmt: skip
            for each in refused:
                with pytest.raises(WaitsInEventLoop, match=r"asyncio\.to_thread"):
                    each()
            assert (await future).status == "ok"
            assert {child.child_id for child in await hub.aio.children()} == {"x", "y", "z"}

    asyncio.run(scenario())
