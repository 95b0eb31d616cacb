"""What a handler publishes while it runs is read at once, and is taken back if its message is undone (docs/guide-feeds.md)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import CallFailed, Child, Event, HotSwap, Hub, OutsideHandler, Replication, Retry
from hubq.core.feed import RETRACT
from hubq.testing import Cluster, Ledger, LedgerChild, eventually
from tests.cluster.scenes import awaited, started

GATES: dict[str, asyncio.Event] = {}
TRIES: list[str] = []


@pytest.fixture(autouse=True)
def nothing_held() -> None:
    GATES.clear()
    TRIES.clear()


def gate(name: str) -> asyncio.Event:
    return GATES.setdefault(name, asyncio.Event())


class Writer(LedgerChild):
    """Writes word by word; the last word is a draft as well, and the whole text is published with the commit."""

    async def write(self, *words: str, wait: str = "", fail: bool = False) -> int:
        for word in words:
            self.publish("word", word, now=True)
        if wait:
            await gate(wait).wait()
        if fail:
            raise ValueError("out of ink")
        self.publish("text", " ".join(words))
        return len(words)

    def write_in_thread(self, *words: str) -> int:
        for word in words:
            self.publish("word", word, now=True)
        return len(words)

    async def record(self, sender: str, number: int) -> int:
        self.publish("draft", (sender, number), now=True)
        await asyncio.sleep(0)
        self.publish("done", (sender, number))
        return await super().record(sender, number)

    async def topic(self, name: str) -> None:
        self.publish(name, 1)

    async def later(self) -> None:
        asyncio.get_running_loop().call_later(0.01, self._late)

    def _late(self) -> None:
        try:
            self.publish("word", "late", now=True)
        except OutsideHandler as error:
            TRIES.append(str(error))


class Keeping(Writer):
    on_error = "keep"


class Saving(Writer):
    durability = "interval"
    save_every = 60.0


class Stubborn(Writer):
    retry = Retry(max=3, wait=0.01)

    async def stumble(self) -> None:
        TRIES.append("try")
        self.publish("word", len(TRIES), now=True)
        if len(TRIES) < 3:
            raise ValueError("again")


class Runner(Child):
    async def run(self) -> None:
        try:
            self.publish("word", "run", now=True)
        except OutsideHandler as error:
            TRIES.append(str(error))
        await asyncio.Event().wait()


async def events(hub: Hub, child: str) -> list[Event]:
    return [item async for item in hub.aio.ref(child).feed(after="0", follow=False) if isinstance(item, Event)]


def standing(found: list[Event]) -> list[Any]:
    """What a reader has in the end: drafts that were taken back are not there."""
    retracted = {event.data["draft"] for event in found if event.topic == RETRACT}
    return [event.data for event in found if event.topic != RETRACT and event.draft not in retracted]


async def read(hub: Hub, child: str, *data: Any) -> list[Event]:
    """Wait until a reader would have just this."""

    async def found() -> list[Event]:
        seen = await events(hub, child)
        return seen if standing(seen) == list(data) else []

    return await eventually(found, what=f"{child} has published {data}")


@awaited
async def test_drafts_are_read_while_the_handler_runs_and_stand_when_it_is_committed(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, writer=Writer)
        call = asyncio.create_task(hub.aio.ref("writer").call("write", "a", "b", wait="go"))
        drafts = await read(hub, "writer", "a", "b")
        assert drafts[0].draft and {event.draft for event in drafts} == {drafts[0].draft} and not call.done()
        gate("go").set()
        assert await call == 2
        found = await read(hub, "writer", "a", "b", "a b")
        assert [event.draft for event in found] == [drafts[0].draft, drafts[0].draft, ""]
        assert await hub.aio.ref("writer").call("write_in_thread", "c", "d") == 2
        await read(hub, "writer", "a", "b", "a b", "c", "d")
        assert left(hub) == []


def left(hub: Hub) -> list[bytes]:
    """Hashes of open drafts."""
    client = hub.server.sync_client(5.0)
    found = list(client.scan_iter(hub.keys.prefix.replace("[", "\\[") + "shard:*:drafts"))
    client.close()
    return found


@awaited
async def test_many_drafts_come_all_in_order_before_what_the_commit_publishes(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    words = [str(number) for number in range(500)]
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, writer=Writer)
        assert await hub.aio.ref("writer").call("write", *words) == 500
        await read(hub, "writer", *words, " ".join(words))


@awaited
async def test_what_is_undone_is_taken_back_and_what_is_kept_stands(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, writer=Writer, keeping=Keeping, stubborn=Stubborn)
        for child in ("writer", "keeping"):
            call = asyncio.create_task(hub.aio.ref(child).call("write", "a", "b", wait=child, fail=True))
            await read(hub, child, "a", "b")
            gate(child).set()
            with pytest.raises(CallFailed, match="out of ink"):
                await call
            with pytest.raises(CallFailed, match="out of ink"):
                await hub.aio.ref(child).call("write", "c", fail=True)  # at once: its draft may never have left
        found = await read(hub, "writer")
        assert [event.topic for event in found][:3] == ["word", "word", RETRACT]
        await read(hub, "keeping", "a", "b", "c")
        await hub.aio.ref("stubborn").call("stumble")
        await read(hub, "stubborn", 3)
        assert left(hub) == []


@awaited
async def test_a_node_that_dies_leaves_drafts_that_its_next_one_takes_back(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, writer=Writer)
        call = asyncio.create_task(hub.aio.ref("writer").call("write", "a", wait="go", timeout=30))
        await read(hub, "writer", "a")
        await cluster.kill("a")
        gate("go").set()
        await cluster.start("b")
        assert await call == 1
        found = await read(hub, "writer", "a", "a")
        assert [event.topic for event in found].count(RETRACT) == 1
        await eventually(lambda: not left(hub), what="nothing is open")


@awaited
async def test_a_straggler_that_is_undone_in_a_move_is_taken_back_and_written_anew(make_hub: Any) -> None:
    hub = make_hub(shards=2, migration=HotSwap(retention=0.3))
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, writer=Writer)
        call = asyncio.create_task(hub.aio.ref("writer").call("write", "a", wait="go", timeout=30))
        await read(hub, "writer", "a")
        await cluster.start("b")
        await cluster.drain("a")

        async def twice() -> bool:
            return [event.topic for event in await events(hub, "writer")].count("word") == 2

        await eventually(twice, what="it is written anew")
        gate("go").set()
        assert await call == 1
        await read(hub, "writer", "a", "a")
        await eventually(lambda: not left(hub), what="nothing is open")


@pytest.mark.parametrize("kind", [Writer, Saving])
def test_moves_and_kills_leave_each_event_once(make_hub: Any, kind: type[Writer]) -> None:
    @awaited
    async def scenario() -> None:
        hub = make_hub(shards=4)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await started(hub, writer=kind)

            async def send() -> None:
                for _ in range(60):
                    await ledger.call("ann", "writer", timeout=30)

            sending = asyncio.create_task(send())
            await cluster.start("b")
            await cluster.settled()
            await cluster.kill("a")
            await cluster.start("c")
            await cluster.settled()
            await cluster.drain("b")
            await sending
            assert await ledger.breaches() == []
            numbers = (await hub.aio.ref("writer").call("entries"))["ann"]
            await cluster.start("d")
            await cluster.drain("c")  # a child that is saved seldom has said it by then
            twice = [("ann", number) for number in numbers for _ in range(2)]

            async def whole() -> bool:
                return sorted(standing(await events(hub, "writer"))) == twice

            await eventually(whole, what="each message has a draft and an event")
            done = [event.data for event in await events(hub, "writer") if event.topic == "done"]
            assert done == twice[::2]
            await eventually(lambda: not left(hub), what="nothing is open")

    scenario()


@awaited
async def test_copies_publish_no_drafts(make_hub: Any) -> None:
    hub = make_hub(shards=2, redundancy=Replication(2, "active_active"))
    async with Cluster(hub) as cluster:
        await cluster.start("a", "b")
        await started(hub, writer=Writer)
        assert await hub.aio.ref("writer").call("write", "a") == 1
        await hub.aio.ref("writer").call("entries")
        await read(hub, "writer", "a", "a")


@awaited
async def test_where_nothing_can_be_taken_back_nothing_is_published(make_hub: Any) -> None:
    hub = make_hub(shards=2)
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await started(hub, writer=Writer, runner=Runner)
        await hub.aio.ref("writer").call("later")
        await eventually(lambda: len(TRIES) == 2, what="both were refused")
        assert any("has no message in hand" in said for said in TRIES) and any("run()" in said for said in TRIES)
        with pytest.raises(CallFailed, match="those of hubq itself"):
            await hub.aio.ref("writer").call("topic", "hubq-x")
