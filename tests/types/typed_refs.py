"""Typed references. Each use below that is right has the type that is asserted. Each wrong one is an error that is expected
there: mypy and pyright both complain of a ``type: ignore`` that ignores nothing.
"""

from __future__ import annotations

from typing import Any, assert_type

from hubq import AsyncCallFuture, AsyncChildRef, AsyncTypedRef, CallFuture, Child, ChildRef, Hub, TypedRef

hub = Hub("types")


class Named(Child):
    async def rename(self, name: str) -> str:
        return name


@hub.child
class Room(Named):
    def __init__(self, topic: str) -> None:
        self.topic = topic

    async def post(self, who: str, text: str, *, pinned: bool = False) -> int:
        return len(who + text)

    def read(self) -> list[str]:
        return [self.topic]

    async def wait(self, timeout: float) -> None:
        """Its time-out is its own."""


@hub.child
class Stock(Child):
    async def take(self, count: int) -> bool:
        return count > 0


def waiting() -> None:
    room = hub.ref(Room, "room-1")
    assert_type(room, TypedRef[Room])
    assert_type(room.call(Room.post, "ann", "hi"), int)
    assert_type(room.call(Room.post, "ann", text="hi", pinned=True), int)
    assert_type(room.call(Room.read), list[str])
    assert_type(room.call(Room.wait, timeout=3.0), None)
    assert_type(room.call(Room.rename, "valkey"), str)  # of a base
    assert_type(room.call(Named.rename, "valkey"), str)
    assert_type(room.call("post", "ann", "hi"), Any)
    assert_type(room.options(timeout=2), TypedRef[Room])
    assert_type(room.options(timeout=2).call(Room.post, "ann", "hi"), int)
    assert_type(room.begin(Room.post, "ann", "hi"), CallFuture[int])
    assert_type(room.begin(Room.read).result(timeout=3), list[str])
    assert_type(room.begin(Room.read).cancel(), bool)
    room.cast(Room.post, "ann", "hi")
    room.cast("post", "ann", "hi")

    room.call(Room.post, "ann")  # type: ignore[call-overload]
    room.call(Room.post, "ann", 1)  # type: ignore[call-overload]
    room.call(Room.post, "ann", "hi", loud=True)  # type: ignore[call-arg]
    room.call(Room.post, "ann", "hi", timeout=2)  # type: ignore[call-arg]
    room.call(Room.read, 1)  # type: ignore[call-overload]
    room.call(Stock.take, 1)  # type: ignore[call-overload]
    room.call(Room.topic)  # type: ignore[misc]
    room.call(3)  # type: ignore[call-overload]
    room.cast(Room.post, "ann")  # type: ignore[call-overload]
    room.begin(Stock.take, 1)  # type: ignore[call-overload]
    room.begin(Room.post, "ann", 3)  # type: ignore[call-overload]
    room.cast(Stock.take, 1)  # type: ignore[call-overload]
    room.options(timeout="2")  # type: ignore[arg-type]
    hub.ref(int, "room-1")  # type: ignore[type-var]
    hub.ref(Room)  # type: ignore[call-overload]


def takes_any_named(named: TypedRef[Named]) -> str:
    return named.call(Named.rename, "x")


def covariant() -> None:
    takes_any_named(hub.ref(Room, "room-1"))
    takes_any_named(hub.ref(Stock, "stock-1"))  # type: ignore[arg-type]


async def awaiting() -> None:
    room = hub.aio.ref(Room, "room-1")
    assert_type(room, AsyncTypedRef[Room])
    assert_type(await room.call(Room.post, "ann", "hi"), int)
    assert_type(await room.call(Room.read), list[str])
    assert_type(await room.call("post", "ann", "hi"), Any)
    assert_type(await room.options(timeout=2).call(Room.post, "ann", text="hi"), int)
    assert_type(room.begin(Room.post, "ann", "hi"), AsyncCallFuture[int])
    assert_type(await room.begin(Room.read), list[str])
    assert_type(await room.begin(Room.read).cancel(), bool)
    await room.cast(Room.post, "ann", "hi")

    await room.call(Room.post, "ann")  # type: ignore[call-overload]
    await room.call(Room.post, 1, "hi")  # type: ignore[call-overload]
    await room.call(Stock.take, 1)  # type: ignore[call-overload]
    await room.cast(Stock.take, 1)  # type: ignore[call-overload]


def by_name() -> None:
    assert_type(hub.ref("room-1"), ChildRef)
    assert_type(hub.ref("room-1").call("post", "ann", "hi", timeout=3), Any)
    assert_type(hub.ref("room-1").call(Room.post, "ann", "hi", timeout=3), Any)
    assert_type(hub.ref("room-1").options(timeout=3), ChildRef)
    assert_type(hub.aio.ref("room-1"), AsyncChildRef)
    hub.ref(3)  # type: ignore[call-overload]
