"""A reader of a feed gets each event that was committed, once, in order, whatever becomes of the nodes (docs/guide-feeds.md)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import (
    CallFailed,
    Child,
    ChildSpec,
    ConfigError,
    Event,
    Gap,
    HubqError,
    InvalidTopic,
    OutsideHandler,
    PayloadTooLarge,
    RedisRefused,
    Replication,
)
from hubq.client.faces.feed import AsyncFeed
from hubq.testing import Cluster, Ledger, LedgerChild, eventually


class Teller(LedgerChild):
    """Publishes each message that it has applied, with a number of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    async def record(self, sender: str, number: int) -> int:
        self.tell()
        return await super().record(sender, number)

    def tell(self, topic: str = "told") -> None:
        self.told += 1
        self.publish(topic, self.told)

    async def fail(self) -> None:
        self.tell()
        raise ValueError("after it had published")

    async def odd(self, topic: Any, data: Any) -> None:
        self.publish(topic, data)


class Saving(Teller):
    durability = "interval"
    save_every = 60.0


class Keeping(Teller):
    on_error = "keep"


class Reader:
    """Reads a feed in a task."""

    def __init__(self, feed: AsyncFeed) -> None:
        self.items: list[Any] = []
        self.feed = feed
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for item in self.feed:
            self.items.append(item)

    @property
    def data(self) -> list[Any]:
        return [item.data if isinstance(item, Event) else item for item in self.items]

    async def has(self, count: int) -> None:
        await eventually(lambda: len(self.items) >= count, what=f"{count} items were read, and not {len(self.items)}")
        assert self.data == list(range(1, count + 1))


async def several(ledger: Ledger) -> None:
    for _ in range(10):
        await ledger.call("s", "t")


@pytest.mark.parametrize("kind", [Teller, Saving])
def test_each_event_comes_once_in_order_through_a_move_and_a_kill(make_hub: Any, kind: type[Teller]) -> None:
    async def scenario() -> None:
        hub = make_hub()
        hub.child(kind)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            readers = [Reader(hub.aio.ref("t").feed(after="0")) for _ in range(3)]  # it is not there yet
            await hub.aio.start_child("t", kind)
            ledger = Ledger(hub)
            await several(ledger)
            await cluster.start("b")
            await cluster.drain("a")
            await several(ledger)
            await cluster.start("c")
            await cluster.kill("b")
            await several(ledger)
            assert await ledger.breaches() == []
            await hub.aio.stop_child("t")
            for reader in readers:
                await asyncio.wait_for(reader.task, 10)
                assert reader.data == list(range(1, 31)) and reader.feed.ended

    asyncio.run(scenario())


def test_what_is_undone_is_never_seen_and_what_is_kept_is(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub()
        hub.child(Teller)
        hub.child(Keeping)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for kind, child in ((Teller, "t"), (Keeping, "k")):
                await hub.aio.start_child(child, kind)
                for method in ("tell", "fail", "tell"):
                    try:
                        await hub.aio.ref(child).call(method)
                    except CallFailed:
                        assert method == "fail"
            assert [event.data async for event in hub.aio.ref("t").feed(follow=False)] == [1, 2]
            assert [event.data async for event in hub.aio.ref("k").feed(follow=False)] == [1, 2, 3]

    asyncio.run(scenario())


def test_copies_publish_nothing(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(redundancy=Replication(replication_factor=2, replication_model="active_active"))
        hub.child(Teller)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await hub.aio.start_child("t", Teller)
            for _ in range(5):
                await hub.aio.ref("t").call("tell")
            assert [event.data async for event in hub.aio.ref("t").feed(follow=False)] == [1, 2, 3, 4, 5]

    asyncio.run(scenario())


def test_a_reader_goes_on_behind_its_last_id_and_is_told_what_is_kept_no_more(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub()
        hub.child(feed_kept=10)(Few)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("t", Few)
            ref = hub.aio.ref("t")
            await ref.call("tell")
            async with ref.feed(after="0") as feed:
                assert (await anext(feed)).data == 1
            for _ in range(300):
                await ref.cast("tell")
            await ref.call("tell")
            gap, *rest = [item async for item in ref.feed(after=feed.last_id, follow=False)]
            assert isinstance(gap, Gap) and gap.after == feed.last_id and gap.before == rest[0].id
            assert gap.missed == rest[0].data - 2 and [event.data for event in rest][-1] == 302

    asyncio.run(scenario())


def test_a_feed_that_cannot_be_read_is_told_to_its_readers_and_others_go_on(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_children([ChildSpec(name, Teller) for name in ("t", "u")])
            ref = hub.aio.ref
            reader = Reader(ref("u").feed(after="0"))
            await ref("u").call("tell")
            await reader.has(1)
            hub.rq_queue.connection.set(hub.keys.feed(0, "t"), "no stream")
            with pytest.raises(RedisRefused, match="WRONGTYPE"):
                await anext(ref("t").feed(after="0"))
            await ref("u").call("tell")
            await reader.has(2)
            reader.task.cancel()
            await asyncio.gather(reader.task, return_exceptions=True)

    asyncio.run(scenario())


class Few(Teller):
    """Keeps few events."""


def test_topics_are_chosen_by_the_reader(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub()
        hub.child(Teller)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("t", Teller)
            ref = hub.aio.ref("t")
            for topic in ("a", "b", "a"):
                await ref.call("tell", topic)
            assert [event.data async for event in ref.feed(topics="a", follow=False)] == [1, 3]
            assert [event.topic async for event in ref.feed(topics=["a", "b"], follow=False)] == ["a", "b", "a"]
            with pytest.raises(InvalidTopic):
                ref.feed(topics=["new post"])
            with pytest.raises(ConfigError, match="no id"):
                ref.feed(after="yesterday")

    asyncio.run(scenario())


def test_code_that_waits_reads_the_same(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub()
        hub.child(Teller)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("t", Teller)

            def read() -> tuple[list[Any], bool, str | None]:
                with hub.ref("t").feed(after="0") as feed:
                    return [event.data for event in feed], feed.ended, feed.last_id

            reading = asyncio.create_task(asyncio.to_thread(read))
            for _ in range(5):
                await hub.aio.ref("t").call("tell")
            await hub.aio.stop_child("t")
            data, ended, last_id = await reading
            assert data == [1, 2, 3, 4, 5] and ended and last_id is not None and last_id.endswith("-6")
        hub.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("topic", "data", "says"),
    [
        ("", 1, "InvalidTopic"),
        ("a b", 1, "InvalidTopic"),
        (7, 1, "InvalidTopic"),
        ("x" * 65, 1, "InvalidTopic"),
        ("a", b"x" * 2000, "PayloadTooLarge"),
    ],
)
def test_bad_events_are_refused_and_published_by_nobody(make_hub: Any, topic: Any, data: Any, says: str) -> None:
    async def scenario() -> None:
        hub = make_hub(max_payload_bytes=4096 if says != "PayloadTooLarge" else 1900)
        hub.child(Teller)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("t", Teller)
            with pytest.raises((CallFailed, PayloadTooLarge)) as raised:
                await hub.aio.ref("t").call("odd", topic, data)
            assert says in str(raised.value) or says == type(raised.value).__name__
            assert [event async for event in hub.aio.ref("t").feed(follow=False)] == []

    asyncio.run(scenario())


def test_outside_a_handler_nothing_can_be_published() -> None:
    async def scenario() -> None:
        from hubq import Hub
        from hubq.testing import FakeServer

        hub = Hub("chat", redis=FakeServer())
        made: list[Child] = []

        @hub.child
        class Loose(Child):
            async def on_start(self) -> None:
                made.append(self)

        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("t", Loose)
            await eventually(lambda: bool(made), what="it has started")
            with pytest.raises(OutsideHandler, match=r"self\.publish"):
                made[0].publish("a", 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("kept", [0, -1, 1_000_001, True, "many"])
def test_a_class_keeps_a_number_of_events(kept: Any) -> None:
    from hubq import Hub

    with pytest.raises(HubqError, match="feed_kept"):
        Hub("chat").child(feed_kept=kept)(type("Kept", (Child,), {}))
