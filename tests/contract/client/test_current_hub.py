"""``current_hub()``: the hub at hand wherever a child's code runs, and nowhere else."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import Child, NoCurrentHub, current_hub
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
