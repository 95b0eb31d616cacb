"""References that know the class of their child: what runs, and what is refused before anything is sent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import CallFailed, CallTimeout, Child, ConfigError, Hub, InvalidChildId, UnknownMethod
from hubq.testing import Cluster


class Named(Child):
    def __init__(self) -> None:
        self.name = ""

    async def rename(self, name: str) -> str:
        self.name = name
        return f"named {name}"


class Room(Named):
    async def rename(self, name: str) -> str:
        self.name = name
        return f"room {name}"

    def read(self) -> str:
        return self.name

    async def wait(self, timeout: float) -> float:
        return timeout

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    @staticmethod
    def helper() -> None:
        """Not callable."""


class Stock(Child):
    async def take(self, count: int) -> int:
        return count


def test_calls_casts_and_options_of_both_halves(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=2)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("room-1", Room)
            room, waiting = hub.aio.ref(Room, "room-1"), hub.ref(Room, "room-1")
            await room.cast(Room.rename, "first")
            assert await room.call(Room.read) == "first"
            assert await room.call(Named.rename, name="second") == "room second", "the class has overridden it"
            assert await asyncio.to_thread(waiting.call, Room.read) == "second"
            await asyncio.to_thread(waiting.cast, "rename", "third")
            assert await room.call("read") == "third"
            assert await room.call(Room.wait, timeout=3.0) == 3.0, "it is the method's own"
            assert await room.options(timeout=5).call(Room.read) == "third"
            with pytest.raises(
                CallFailed, match=r"'timeout'; an option of the call goes by ref.options\(timeout=...\)"
            ):
                await room.call(Room.rename, "fourth", timeout=5)  # type: ignore[call-arg]
            # (Which of its texts depends on whether its turn came in time. With the usual 10 s both would be answered.)
            with pytest.raises(CallTimeout):
                await room.options(timeout=0.05).call(Room.sleep, 0.5)
            with pytest.raises(CallTimeout):
                await hub.aio.ref("room-1").options(timeout=9).call("sleep", 0.5, timeout=0.01)

    asyncio.run(scenario())


def test_what_is_refused_before_anything_is_sent() -> None:
    hub = Hub("nobody", redis="redis://localhost:1")  # nobody is there: what is sent fails otherwise
    room = hub.ref(Room, "room-1")
    with pytest.raises(UnknownMethod, match=r"^class Room has no method 'post'; it has: read, rename, sleep, wait$"):
        room.call("post")
    with pytest.raises(UnknownMethod, match="class Room has no method 'take'"):
        room.cast(Stock.take, 1)  # type: ignore[call-overload]
    with pytest.raises(UnknownMethod, match="class Room has no method 'helper'"):
        room.call(Room.helper)  # type: ignore[call-overload]
    with pytest.raises(UnknownMethod, match="on_start is no method that callers may call"):
        room.call(Room.on_start)

    async def read(self: Room) -> str:
        return "another function of this name"

    with pytest.raises(UnknownMethod, match=r"read is no method of class Room: give Room\.read$"):
        room.call(read)
    with pytest.raises(ConfigError, match="timeout=0: give seconds above 0"):
        room.options(timeout=0)
    with pytest.raises(ConfigError, match=r"int.* cannot be a child"):
        hub.ref(int, "room-1")  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="is no class: give a class derived from"):
        hub.ref(3, "room-1")  # type: ignore[call-overload]
    with pytest.raises(InvalidChildId):
        hub.ref(Room, "")
    assert repr(room) == "<TypedRef Room 'room-1' of hub 'nobody'>"
    assert repr(hub.aio.ref(Room, "room-1")) == "<AsyncTypedRef Room 'room-1' of hub 'nobody'>"

    async def awaiting() -> None:
        with pytest.raises(UnknownMethod):
            await hub.aio.ref(Room, "room-1").call("post")
        with pytest.raises(UnknownMethod):
            await hub.aio.ref(Room, "room-1").cast("post")

    asyncio.run(awaiting())
