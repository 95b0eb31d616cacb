"""A flooded or slow child harms neither its neighbours nor the memory of the node and of Redis."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import pytest

from hubq import Child, Hub, MailboxFull, UnknownChild
from hubq.core.hashing import shard_of
from hubq.store.command import pairs, plain, text
from hubq.store.connection import AsyncRedis, RedisServer
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, interfere, moments, probe

HELD: dict[str, asyncio.Event] = {}


@pytest.fixture
def server(real_server: RedisServer) -> RedisServer:
    """fakeredis counts no memory, and is slower than what it is flooded by."""
    return real_server


class Slow(LedgerChild):
    """Its messages wait until the test lets them go."""

    async def record(self, sender: str, number: int) -> int:
        await HELD.setdefault(self.child_id, asyncio.Event()).wait()
        return await super().record(sender, number)


class Fat(Slow):
    """Its messages are large."""

    async def fat(self, sender: str, number: int, padding: bytes) -> int:
        return await self.record(sender, number)


class Leaves(Child):
    """Ends with its first message, which waits until the test lets it go."""

    async def leave(self) -> str:
        await HELD.setdefault(self.child_id, asyncio.Event()).wait()
        self.stop()
        return "left"


class Counter(Child):
    """Counts, and tells how far the others had come when it was its turn."""

    counts: ClassVar[dict[str, int]] = {}

    async def count(self) -> dict[str, int]:
        await HELD.setdefault(self.child_id, asyncio.Event()).wait()
        Counter.counts[self.child_id] = Counter.counts.get(self.child_id, 0) + 1
        return Counter.counts


@pytest.fixture(autouse=True)
def nothing_held() -> None:
    HELD.clear()
    Counter.counts.clear()


def let_go(*children: str) -> None:
    for child in children:
        HELD.setdefault(child, asyncio.Event()).set()


def neighbours(shard: int, shards: int, count: int, prefix: str) -> list[str]:
    """Names of children of one shard."""
    names = (f"{prefix}-{n}" for n in range(100_000))
    return [name for name in names if shard_of(name, shards) == shard][:count]


async def flood(hub: Hub, child: str, sender: str, upto: int) -> int:
    """Cast until the mailbox is full, or ``upto`` messages."""
    sent = 0
    while sent < upto:
        casts = [hub.aio.ref(child).cast("record", sender, sent + n + 1) for n in range(min(200, upto - sent))]
        answers = await asyncio.gather(*casts, return_exceptions=True)
        refused = [answer for answer in answers if answer is not None]
        assert all(isinstance(answer, MailboxFull) for answer in refused), refused
        sent += len(answers) - len(refused)
        if refused:
            break
    return sent


async def when_there_is_room(call: Callable[[], Awaitable[Any]]) -> Any:
    """The answer of a call, once it is not refused any more."""

    async def answer() -> Any:
        try:
            return await call()
        except MailboxFull:
            return None

    return await eventually(answer, 60, "the mailbox has room")


def test_a_full_mailbox_says_whose_and_how_full(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, max_backlog=50)
        hub.child(Slow)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("slow", Slow)
            assert await flood(hub, "slow", "s", 1000) == 50
            with pytest.raises(MailboxFull, match="child 'slow' has 50 messages waiting, the most is 50") as full:
                await hub.aio.ref("slow").cast("record", "s", 51)
            assert (full.value.child_id, full.value.waiting, full.value.most) == ("slow", 50, 50)
            with pytest.raises(MailboxFull):
                await asyncio.to_thread(lambda: hub.ref("slow").call("record", "s", 51))
            let_go("slow")
            assert await when_there_is_room(lambda: hub.aio.ref("slow").call("record", "s", 51, timeout=20)) == 51

    asyncio.run(scenario())


def test_neighbours_of_a_full_slow_child_are_served_as_before(make_hub: Any) -> None:
    """By counting: while the slow child stands with 2,000 messages, a neighbour's call reads none of them again."""

    async def scenario(heard: moments.Heard) -> None:
        hub = make_hub(shards=4, max_backlog=2000, queue_limit=100)
        hub.child(Slow)
        hub.child(LedgerChild)
        shard = shard_of("slow", 4)
        (neighbour,) = neighbours(shard, 4, 1, "n")
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("slow", Slow)
            await hub.aio.start_child(neighbour, LedgerChild)
            assert await flood(hub, "slow", "s", 2000) == 2000
            assert await hub.aio.ref(neighbour).call("record", "x", 1, timeout=20) == 1
            heard.messages = 0
            for number in range(2, 52):
                assert await hub.aio.ref(neighbour).call("record", "x", number, timeout=20) == number
            assert heard.messages == 50
            assert 0 < probe(node).the_child("slow").waiting <= 100
            let_go("slow")
            assert await when_there_is_room(lambda: hub.aio.ref("slow").call("record", "s", 2001, timeout=60)) == 2001
            assert (await hub.aio.ref("slow").call("entries", timeout=60))["s"] == list(range(1, 2002))

    with moments.reading_heard() as heard:
        asyncio.run(scenario(heard))


def test_whoever_waits_for_a_child_that_ends_is_told_even_if_the_message_had_no_room_in_memory(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, queue_limit=4)
        hub.child(Leaves)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("leaves", Leaves)

            async def waiting() -> bool:
                return bool((await hub.aio.child_lookup("leaves")).backlog == 41)

            calls = [asyncio.create_task(hub.aio.ref("leaves").call("leave", timeout=20)) for _ in range(41)]
            await eventually(waiting, 20, "all messages are in the mailbox")
            let_go("leaves")
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert answers[0] == "left"
            assert {type(answer) for answer in answers[1:]} == {UnknownChild}, answers

    asyncio.run(scenario())


def test_many_flooded_children_are_caught_up_with_in_few_reads(make_hub: Any) -> None:
    """Twenty children of one shard, each 400 messages behind a queue of 50: not each reads what is for the others."""

    async def scenario(heard: moments.Heard) -> None:
        hub = make_hub(shards=1, queue_limit=50)
        hub.child(Slow)
        names = neighbours(0, 1, 20, "slow")
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for name in names:
                await hub.aio.start_child(name, Slow)
            ledger = Ledger(hub)
            await asyncio.gather(*(ledger.cast("s", name) for _ in range(1) for name in names))
            for number in range(2, 401):
                casts = [hub.aio.ref(name).cast("record", "s", number) for name in names]
                await asyncio.gather(*casts)
            let_go(*names)
            for name in names:
                assert await hub.aio.ref(name).call("record", "s", 401, timeout=60) == 401
                assert (await hub.aio.ref(name).call("entries", timeout=60))["s"] == list(range(1, 402))
            # 8,000 messages in all. A pass for each child would be twenty times that.
            assert heard.again < 4 * 8_000

    with moments.reading_heard() as heard:
        asyncio.run(scenario(heard))


@pytest.mark.parametrize("most", [100_000, 1])
def test_large_messages_in_memory_are_bounded_by_their_size(make_hub: Any, most: int) -> None:
    async def scenario(heard: moments.Heard) -> None:
        hub = make_hub(shards=1, queue_bytes=most)
        hub.child(Fat)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("fat", Fat)
            fat = probe(node).the_child("fat")
            for number in range(1, 41):
                await hub.aio.ref("fat").cast("fat", "s", number, bytes(20_000))

            await eventually(lambda: fat.left_in_mailbox, 10, "the bound is reached")
            assert 0 < fat.accounted_bytes < most + 21_000
            assert fat.accounted_bytes == fat.waiting_bytes
            let_go("fat")
            assert await hub.aio.ref("fat").call("record", "s", 41, timeout=60) == 41
            assert (await hub.aio.ref("fat").call("entries", timeout=60))["s"] == list(range(1, 42))
            # As many are read as there is room for: not each page of a hundred for the sake of a few.
            assert heard.again < 4 * 41, heard

    with moments.reading_heard() as heard:
        asyncio.run(scenario(heard))


def test_whoever_stands_behind_a_flood_is_reached_in_few_reads(make_hub: Any) -> None:
    async def scenario(reads: list[int]) -> None:
        hub: Hub = make_hub(shards=1, queue_limit=10)
        hub.child(Slow)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in ("flooded", "neighbour"):
                await hub.aio.start_child(child, Slow)
            await cluster.drain("a")
            let_go("neighbour")
            flooding = [("flooded", "record", "s", number) for number in range(5000)]
            assert await hub.aio.cast_many(flooding) == [None] * 5000
            await hub.aio.ref("neighbour").cast("record", "t", 1)
            reads.clear()
            await cluster.start("b")
            assert await hub.aio.ref("neighbour").call("entries", timeout=60) == {"t": [1]}
            assert len(reads) < 10, reads  # 50 with a hundred each
            assert max(reads) <= moments.MOST_READ_AT_ONCE
            let_go("flooded")
            entries = await hub.aio.ref("flooded").call("entries", timeout=60)
            assert entries == {"s": list(range(5000))}

    with moments.reading_heard() as heard:
        asyncio.run(scenario(heard.counts))


def test_a_neighbour_has_its_turn_while_a_flooded_child_is_busy(make_hub: Any) -> None:
    """By counting: 8,000 messages are in memory for the one; the other's call does not wait for all of them."""

    async def scenario() -> None:
        hub = make_hub(shards=1, queue_limit=10_000, lease=30.0)
        hub.child(Counter)
        let_go("neighbour")
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("flooded", Counter)
            await hub.aio.start_child("neighbour", Counter)
            for _ in range(16):
                await asyncio.gather(*(hub.aio.ref("flooded").cast("count") for _ in range(500)))
            flooded = probe(node).the_child("flooded")
            await eventually(lambda: flooded.waiting == 7_999, 20, "all are in memory")
            let_go("flooded")
            counts = await hub.aio.ref("neighbour").call("count", timeout=30)
            assert counts["flooded"] < 8_000
            await eventually(lambda: Counter.counts["flooded"] == 8_000, 30, "all are handled")

    asyncio.run(scenario())


@pytest.mark.long
def test_a_flood_at_full_speed_leaves_memory_bounded(make_hub: Any, server: Any) -> None:
    """50,000 messages offered to one child as fast as a client can: what is accepted is bounded by max_backlog at any
    time, in Redis and in the node, and all that was accepted is handled, in order."""
    offered, most = 50_000, 2_000

    async def scenario() -> None:
        # (A long lease: the very object that counts is looked at in the end.)
        hub = make_hub(shards=4, max_backlog=most, queue_limit=200, lease=30.0)
        hub.child(LedgerChild)
        redis = AsyncRedis(server)

        async def used() -> int:
            found: str = await redis.run(plain("INFO", "memory", read=text))
            return int(found.split("used_memory:")[1].split()[0])

        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("c", LedgerChild)
            await hub.aio.ref("c").call("record", "warm", 1)
            gc.collect()
            before, peak, longest, queued, accepted = await used(), 0, 0, 0, 0
            child = probe(node).the_child("c")
            interfere.replace_class(child, type("Counting", (LedgerChild,), {"record": _count}))
            for first in range(0, offered, 1000):
                casts = [hub.aio.ref("c").cast("record", "s", first + n) for n in range(1000)]
                answers = await asyncio.gather(*casts, return_exceptions=True)
                assert {type(answer) for answer in answers} <= {type(None), MailboxFull}
                accepted += answers.count(None)
                peak = max(peak, await used())
                longest = max(longest, await redis.run(plain("XLEN", hub.keys.mailbox(child.shard), read=int)))
                queued = max(queued, child.waiting)
            assert longest <= most
            assert queued <= 200

            async def handled() -> bool:
                waiting = await redis.run(plain("HGETALL", hub.keys.backlog(child.shard), read=pairs))
                return not waiting

            await eventually(handled, 60, "all that was accepted is handled")
            assert child.instance.__dict__["counted"] == accepted
            if before:
                # 2,000 messages of about 150 bytes, and the client's and node's own keys.
                assert peak - before < 6_000_000, (before, peak)
            await redis.close()

    asyncio.run(scenario())


async def _count(self: Any, sender: str, number: int) -> None:
    assert number > self.__dict__.get("last", -1), "in order"
    self.last = number
    self.counted = self.__dict__.get("counted", 0) + 1
