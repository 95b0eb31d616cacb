"""User code as it should type-check (checked by mypy --strict, not run)."""

from __future__ import annotations

from typing import Any, assert_type

from hubq import Child, ChildRef, ChildSpec, ColdSwap, HotSwap, Hub, NodeStatus, Place, StartFuture, StartResult

hub = Hub("types", migration=HotSwap(retention=1.0), lease=10)
cold = Hub("cold", migration=ColdSwap())


@hub.child
class Room(Child):
    transient = ("socket",)

    def __init__(self, topic: str) -> None:
        self.topic = topic

    async def post(self, text: str) -> int:
        await self.commit()
        return len(text)


@hub.child(durability="interval", save_every=1.0)
class Meter(Child):
    async def run(self) -> None:
        self.stop()


@hub.child
async def crawl(ctx: Any, url: str) -> None:
    ctx.state.url = url
    await ctx.commit()


def sync_code() -> None:
    assert_type(hub.start_child("room-1", Room, "redis"), StartFuture)
    assert_type(hub.start_children([ChildSpec("room-2", Room, args=("redis",))]).result(5), StartResult)
    assert_type(hub.ref("room-1"), ChildRef)
    assert_type(hub.nodes(), list[NodeStatus])
    assert_type(hub.where("room-1"), Place)
    assert_type(Room("x"), Room)


async def async_code() -> None:
    assert_type(await hub.aio.start_child("room-1", Room, "redis", metadata={"a": 1}), StartResult)
    await hub.aio.ref("room-1").cast("post", "hi")
    await hub.aio.close()
