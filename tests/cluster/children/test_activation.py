"""A message starts its child, if that is not there (docs/guide-on-demand.md)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import AlreadyStarted, Child, ConfigError, StartFailed, UnknownChild
from hubq.testing import Cluster, Ledger, LedgerChild, eventually


class Room(Child):
    activate = True

    def __init__(self, topic: str, most: int = 3) -> None:
        self.topic, self.most = topic, most
        self.posts: list[str] = []

    async def post(self, text: str) -> list[str]:
        self.posts.append(text)
        return self.posts

    async def about(self) -> tuple[str, int]:
        return self.topic, self.most


class Plain(Child):
    async def hello(self) -> str:
        return "hi"


class Broken(Child):
    activate = True

    def __init__(self) -> None:
        raise ValueError("no luck")

    async def hello(self) -> str:
        return "hi"


class Teller(Child):
    async def tell(self, room: str) -> None:
        self.ref(Room, room, "told", most=9).cast(Room.post, "from a child")
        self.ref(Room, room, "told").cast(Room.post, "again")


class Counted(LedgerChild):
    activate = True


def test_a_message_starts_the_child_with_the_arguments_of_the_reference(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a", "b")
            hub = cluster.hub
            room = hub.aio.ref(Room, "room-1", "redis", most=5)
            assert await room.call(Room.post, "hi") == ["hi"]
            assert await hub.aio.ref(Room, "room-1", "other").call(Room.about) == ("redis", 5), "it was there"
            assert await hub.aio.ref("room-1").call("post", "ho") == ["hi", "ho"]
            await hub.aio.ref(Room, "room-2", "cast").cast(Room.post, "one")
            assert await hub.aio.ref(Room, "room-2", "cast").call(Room.post, "two") == ["one", "two"]
            refused = await hub.aio.cast_many(
                [(hub.aio.ref(Room, "room-3", "many"), Room.post, "x"), ("room-4", "post", "y")]
            )
            assert refused[0] is None and isinstance(refused[1], UnknownChild)
            assert await hub.aio.ref("room-3").call("post", "z") == ["x", "z"]
            with pytest.raises(AlreadyStarted):
                await hub.aio.start_child("room-3", Room, "again")
            assert await asyncio.to_thread(lambda: hub.ref(Room, "room-5", "waiting").call(Room.post, "s")) == ["s"]
            begun = hub.aio.ref(Room, "room-6", "begun").begin(Room.post, "b")
            assert await begun == ["b"]

    hubq_run(scenario())


def test_many_senders_at_once_start_one_child_and_lose_nothing(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=8)) as cluster:
            await cluster.start("a", "b")
            hub = cluster.hub
            hub.child(Counted)
            names = [f"counted-{n}" for n in range(8)]
            ledger = Ledger(hub)

            async def send(sender: str) -> None:
                for name in names:
                    number = ledger.next_number(sender, name)
                    await hub.aio.ref(Counted, name).call(Counted.record, sender, number)

            sending = asyncio.gather(*(send(f"s{n}") for n in range(6)))
            await cluster.start("c")
            await cluster.kill("a")
            await sending
            await ledger.check()

    hubq_run(scenario())


def test_an_effect_starts_the_child_too(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            await hub.aio.start_child("teller", Teller)
            await hub.aio.ref("teller").call("tell", "room-9")
            room = hub.aio.ref("room-9")

            async def both() -> bool:
                try:
                    return await room.call("about") == ("told", 9)
                except UnknownChild:
                    return False

            await eventually(both, 10, "the room was started")
            assert await room.call("post", "x") == ["from a child", "again", "x"]

    hubq_run(scenario())


def test_a_child_that_cannot_be_built_is_said_to_the_caller(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            hub = cluster.hub
            with pytest.raises(StartFailed, match="no luck"):
                await hub.aio.ref(Broken, "broken").call(Broken.hello)
            with pytest.raises(UnknownChild):
                await hub.aio.ref("broken").call("hello")

    hubq_run(scenario())


@pytest.mark.parametrize(
    ("kind", "args", "kwargs", "said"),
    [
        (Room, (), {}, "missing a required argument: 'topic'"),
        (Room, ("a", 1, 2), {}, "too many positional arguments"),
        (Room, ("a",), {"size": 1}, "unexpected keyword argument 'size'"),
        (Plain, ("a",), {}, "has no activate=True"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(
    make_hub: Any, kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any], said: str
) -> None:
    hub = make_hub()
    for face in (hub, hub.aio):
        with pytest.raises(ConfigError, match=said):
            face.ref(kind, "room-1", *args, **kwargs)


def test_without_activate_a_message_starts_nothing(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            await cluster.start("a")
            with pytest.raises(UnknownChild, match="activate=True"):
                await cluster.hub.aio.ref(Plain, "plain").call(Plain.hello)

    hubq_run(scenario())
