"""``hub.kill``, ``stop_child_now`` and ``drop_message``: a hung handler is ended, and a message that waits is taken out."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from hubq import CallTimeout, Child, ChildSpec, HandlerKilled, Hub, HubqError, MessageDropped, NotAlive, UnknownChild
from hubq.core.lifecycle import Life
from hubq.testing import Cluster, end_tasks, eventually, moments, probe


class Hangs(Child):
    transient = ("runs_here",)
    begun: ClassVar[int] = 0
    gate: ClassVar[threading.Event]
    released: ClassVar[asyncio.Event]

    def __init__(self) -> None:
        self.n = 0
        type(self).begun += 1

    async def add(self, many: int = 1) -> int:
        self.n += many
        return self.n

    async def hang(self) -> None:
        self.n += 100
        await asyncio.Event().wait()

    async def deaf(self) -> None:
        self.n += 100
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self.released.wait()
            raise

    def hang_in_a_thread(self) -> None:
        self.n += 100
        assert self.gate.wait(20)
        self.n += 100


class StartsNever(Child):
    async def on_start(self) -> None:
        await asyncio.Event().wait()

    async def ping(self) -> None:
        pass


class StartsAndIsDeaf(StartsNever):
    released: ClassVar[asyncio.Event]

    async def on_start(self) -> None:
        while not self.released.is_set():
            with suppress(asyncio.CancelledError):
                await self.released.wait()


class Unbuilt(Child):
    """It cannot be built while its class is ill."""

    ill: ClassVar[bool] = False

    def __init__(self) -> None:
        if self.ill:
            raise ValueError("ill")
        self.added: list[int] = []

    async def add(self, many: int) -> None:
        self.added.append(many)

    async def total(self) -> list[int]:
        return self.added


async def begun(cluster: Cluster, hub: Hub, method: str) -> asyncio.Task[Any]:
    """A call that is in hand."""
    call = asyncio.create_task(hub.aio.ref("c").call(method, timeout=30))
    await eventually(lambda: probe(cluster.nodes["a"]).busy == ["c"])
    return call


@pytest.mark.parametrize("method", ["hang", "hang_in_a_thread"])
def test_a_child_that_is_killed_begins_anew_from_its_last_commit(make_hub: Any, method: str) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        Hangs.gate = threading.Event()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Hangs)
            ref = hub.aio.ref("c")
            assert await ref.call("add") == 1
            hung, before = await begun(cluster, hub, method), Hangs.begun
            behind = asyncio.create_task(ref.call("add", timeout=30))
            assert await hub.aio.kill("c") == "a"
            with pytest.raises(HandlerKilled, match=rf"c\.{method} was undone: the child was killed"):
                await hung
            assert await behind == 2 and Hangs.begun == before + 1
            Hangs.gate.set()
            assert await ref.call("add") == 3
            assert await asyncio.to_thread(hub.kill, "c") == "a"  # with nothing in hand it only begins anew
            assert await ref.call("add") == 4 and Hangs.begun == before + 2

    asyncio.run(scenario())


def test_a_stop_that_does_not_wait(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Hangs)
            hung = await begun(cluster, hub, "hang")
            behind = asyncio.create_task(hub.aio.ref("c").call("add", timeout=30))
            await eventually(lambda: probe(cluster.nodes["a"]).the_child("c").waiting == 1)
            assert await hub.aio.stop_child_now("c") == "a"
            with pytest.raises(HandlerKilled, match="stopped at once"):
                await hung
            with pytest.raises(UnknownChild):
                await behind
            with pytest.raises(UnknownChild):
                await hub.aio.kill("c")
            assert await hub.aio.children() == []

    asyncio.run(scenario())


def test_a_child_that_never_starts_is_stopped(make_hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            node, StartsAndIsDeaf.released = await cluster.start("a"), asyncio.Event()
            try:
                for kind in (StartsNever, StartsAndIsDeaf):
                    start = asyncio.create_task(hub.aio.start_children([ChildSpec("c", kind)], timeout=30))
                    await eventually(lambda: (c := probe(node).child("c")) is not None and c.life is Life.STARTING)
                    behind = asyncio.create_task(hub.aio.ref("c").call("ping", timeout=30))
                    assert await hub.aio.stop_child_now("c") == "a"
                    with pytest.raises(UnknownChild):
                        await behind
                    assert await hub.aio.children() == []
                    await end_tasks([start])
            finally:
                StartsAndIsDeaf.released.set()
            assert "on_start of child c goes on though it was cancelled" in caplog.text

    with moments.patience_with_what_is_cancelled(0.05):
        asyncio.run(scenario())


def test_a_message_that_waits_is_dropped_and_one_in_hand_is_not(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Hangs)
            ref = hub.aio.ref("c")
            hung = await begun(cluster, hub, "hang")
            await ref.cast("add", 10)
            called = asyncio.create_task(ref.call("add", 20, timeout=30))
            await eventually(lambda: probe(cluster.nodes["a"]).the_child("c").waiting == 2)
            await ref.cast("add", 1)
            await eventually(lambda: probe(cluster.nodes["a"]).the_child("c").waiting == 3)
            heads = (await asyncio.to_thread(hub.inspect.mailbox, "c")).heads
            entries = [head.entry for head in heads]
            with pytest.raises(HubqError, match=rf"{entries[0]} \(hang\) is in hand: `hubq kill` ends it"):
                await hub.aio.drop_message("c", entries[0])
            for entry in entries[1:3]:
                assert await hub.aio.drop_message("c", entry) == "a"
                with pytest.raises(HubqError, match="does not wait for"):
                    await hub.aio.drop_message("c", entry)
            with pytest.raises(MessageDropped, match="dropped by hand"):
                await called
            await hub.aio.kill("c")
            with pytest.raises(HandlerKilled):
                await hung
            assert await ref.call("add", 0) == 1
            letters = {
                (letter.why, letter.method) for letter in await hub.aio.dead_letters() if letter.why == "dropped"
            }
            assert letters == {("dropped", "add")}
            assert len([each for each in await hub.aio.dead_letters() if each.why == "dropped"]) == 2
            assert not (await asyncio.to_thread(hub.inspect.mailbox, "c")).messages

    asyncio.run(scenario())


def test_a_message_that_has_no_room_in_memory_is_dropped_from_the_mailbox(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1, queue_limit=10)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_children([ChildSpec("c", Hangs), ChildSpec("d", Hangs)])
            hung = await begun(cluster, hub, "hang")
            await asyncio.gather(*(hub.aio.ref("c").cast("add", 1) for _ in range(39)))
            called = asyncio.create_task(hub.aio.ref("c").call("add", 1_000, timeout=30))
            box = await eventually_mailbox(hub, "c", 41)
            last = [head.entry for head in box.heads if head.method == "add"][-2:]
            assert probe(cluster.nodes["a"]).the_child("c").waiting < 30
            for entry in last:
                assert await hub.aio.drop_message("c", entry) == "a"
                with pytest.raises(HubqError, match="does not wait for 'c'"):
                    await hub.aio.drop_message("c", entry)
            with pytest.raises(HubqError, match="does not wait for 'd'"):
                await hub.aio.drop_message("d", box.heads[-3].entry)
            with pytest.raises(MessageDropped, match="dropped by hand"):
                await called
            await hub.aio.kill("c")
            with pytest.raises(HandlerKilled):
                await hung
            assert await hub.aio.ref("c").call("add", 0) == 38
            await eventually_mailbox(hub, "c", 0)
            letters = [letter.method for letter in await hub.aio.dead_letters() if letter.why == "dropped"]
            assert letters == ["add", "add"]

    asyncio.run(scenario())


def test_a_message_of_a_parked_child_is_dropped(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Unbuilt)
            await cluster.drain("a")
            Unbuilt.ill = True
            await cluster.start("b")

            async def parked() -> bool:
                return [child.status for child in await hub.aio.children()] == ["parked"]

            await eventually(parked, 10, "the child is parked")
            for number in range(3):
                await hub.aio.ref("c").cast("add", number)
            box = await eventually_mailbox(hub, "c", 3)
            assert await hub.aio.drop_message("c", box.heads[1].entry) == "b"
            await eventually_mailbox(hub, "c", 2)
            Unbuilt.ill = False
            await cluster.start("a")
            await cluster.drain("b")
            assert await hub.aio.ref("c").call("total", timeout=10) == [0, 2]

    asyncio.run(scenario())


async def eventually_mailbox(hub: Hub, child: str, messages: int) -> Any:
    """The mailbox of a child once so many messages are in it, with all of their heads."""

    async def found() -> Any:
        box = await asyncio.to_thread(hub.inspect.mailbox, child, 100)
        return box if box.messages == messages else None

    return await eventually(found, 10, f"{messages} messages are in the mailbox of {child}")


def test_what_cannot_be_done_is_said(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        Hangs.released = asyncio.Event()
        async with Cluster(hub) as cluster:
            await asyncio.to_thread(hub.start_child, "c", Hangs)
            with pytest.raises(NotAlive, match="no node serves child 'c'"):
                await hub.aio.kill("c")
            with pytest.raises(UnknownChild):
                await hub.aio.kill("nobody")
            with pytest.raises(HubqError, match="is no message"):
                await hub.aio.drop_message("c", "yesterday")
            await cluster.start("a")
            deaf = await begun(cluster, hub, "deaf")
            with pytest.raises(CallTimeout, match=r"not killed within 0\.3 s: its node 'a' has not answered"):
                await hub.aio.kill("c", timeout=0.3)
            Hangs.released.set()
            with pytest.raises(HandlerKilled):
                await deaf
            assert await hub.aio.ref("c").call("add") == 1

    asyncio.run(scenario())
