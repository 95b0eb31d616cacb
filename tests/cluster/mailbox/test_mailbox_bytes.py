"""``max_mailbox_bytes``: the messages of a shard take no more memory of Redis than they may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from hubq import Child, Hub, MailboxFull
from hubq.store.server import RedisServer
from hubq.testing import Cluster, eventually

SIZE, MOST = 30_000, 300_000


@pytest.fixture
def server(real_server: RedisServer) -> RedisServer:
    """fakeredis does not count bytes."""
    return real_server


class Sink(Child):
    def __init__(self) -> None:
        self.taken = 0

    async def take(self, data: bytes) -> None:
        self.taken += len(data)

    async def total(self) -> int:
        return self.taken


def test_a_shard_that_is_full_refuses_more_and_takes_it_again_when_there_is_room(make_hub: Callable[..., Hub]) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1, max_mailbox_bytes=MOST)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for name in ("one", "two"):
                await hub.aio.start_child(name, Sink)
            cluster.freeze("a")
            one, two, accepted = hub.aio.ref("one"), hub.aio.ref("two"), []

            async def flood() -> None:
                while len(accepted) <= MOST // SIZE:
                    accepted.append(await one.cast("take", bytes(SIZE)))

            with pytest.raises(MailboxFull, match="max_mailbox_bytes") as full:
                await flood()
            assert len(accepted) >= MOST // SIZE // 2
            assert (full.value.child_id, full.value.unit, full.value.most) == ("one", "bytes", MOST)
            assert full.value.waiting >= MOST
            with pytest.raises(MailboxFull):  # the bound is that of the shard
                await two.cast("take", b"")
            cluster.thaw("a")

            async def has_taken_all() -> bool:
                try:
                    return bool(await one.call("total") == len(accepted) * SIZE)
                except MailboxFull:
                    return False

            await eventually(has_taken_all)
            await two.cast("take", b"12")
            assert await two.call("total") == 2

    asyncio.run(scenario())


def test_messages_of_children_are_not_refused(make_hub: Callable[..., Hub]) -> None:
    """They are bounded by ``max_backlog``: a commit cannot fail."""

    class Source(Child):
        async def send(self, to: str, count: int) -> None:
            for _ in range(count):
                self.ref(to).cast("take", bytes(SIZE))

    async def scenario() -> None:
        hub = make_hub(shards=1, max_mailbox_bytes=1_000)
        hub.child(Source)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("source", Source)
            await hub.aio.start_child("sink", Sink)
            await hub.aio.ref("source").call("send", "sink", 5)

            async def has_taken_all() -> bool:
                try:
                    return bool(await hub.aio.ref("sink").call("total") == 5 * SIZE)
                except MailboxFull:
                    return False

            await eventually(has_taken_all)

    asyncio.run(scenario())
