"""Sends and starts whose answers are lost, whose first tries are late, and that several tasks make at the same time."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from hubq import Hub
from hubq.errors import AlreadyStarted, RedisUnavailable, UnknownChild
from hubq.store.codec import encode
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis, SyncRedis
from hubq.store.outgoing import Outgoing, send_messages, start_children, void_numbers
from hubq.testing import Cluster, LedgerChild, connections


class Between:
    """Stands before a server; ``passed`` may lose what goes through."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.address = server.address

    def sync_client(self, timeout: float) -> Any:
        return self._server.sync_client(timeout)

    def async_client(self, timeout: float) -> Any:
        return self._server.async_client(timeout)


class Slow(Between):
    """A server whose first answer is lost, once others have had the time to come by."""

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self._calls = 0
        self._several = asyncio.Event()

    async def passed(self) -> None:
        self._calls += 1
        if self._calls > 3:
            self._several.set()
        if self._calls == 1:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._several.wait(), 0.3)
            raise ConnectionError("lost (this test)")


def test_tasks_that_are_the_first_at_the_same_time_share_a_session(make_hub: Any, server: Any) -> None:
    """A start that was sent in one session, and waited for in another, took the answer to another message for its own."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            slow = Slow(server)
            client = Hub(hub.hub_id, redis=slow, shards=1)
            with connections.gate_asked(slow):
                first = asyncio.ensure_future(client.aio.nodes())
                second = asyncio.ensure_future(client.aio.start_child("child", LedgerChild, timeout=3.0))
                for task in (first, second):
                    with pytest.raises(RedisUnavailable):
                        await task
                assert (await client.aio.start_child("child", LedgerChild)).started == {"child": "a"}
            await client.aio.close()

    asyncio.run(scenario())


class Flaky(Between):
    """A server that loses the next requests before they are sent, as it seems to the client."""

    def __init__(self, server: Any) -> None:
        super().__init__(server)
        self.lose = 0

    async def passed(self) -> None:
        if self.lose:
            self.lose -= 1
            raise ConnectionError("lost (this test)")


def test_what_was_refused_in_the_end_is_not_done_by_an_earlier_try_that_is_late(make_hub: Any, server: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("there", LedgerChild)
            flaky = Flaky(server)
            client = Hub(hub.hub_id, redis=flaky, shards=1)
            redis, sender = AsyncRedis(server), await connections.sender_here(client)
            with connections.gate_asked(flaky):
                flaky.lose = 1
                with pytest.raises(AlreadyStarted):
                    await client.aio.start_child("there", LedgerChild)
                flaky.lose = 1
                with pytest.raises(UnknownChild):
                    await client.aio.ref("other").cast("record", "x", 1)
                assert flaky.lose == 0
            await hub.aio.stop_child("there")
            await hub.aio.start_child("other", LedgerChild)
            late = start_children(
                hub.keys, 0, sender, 1, {"there": b"{}"}, reply_to=sender, timeout_ms=0, all_or_nothing=False,
                sender_ttl_ms=60_000,
            )  # fmt: skip
            await redis.run(late)
            assert [child.child_id for child in await hub.aio.children()] == ["other"]
            message = Outgoing("cast", "other", "record", encode((("x", 1), {})), 0.0, False)
            send = send_messages(hub.keys, sender, {0: [(2, message)]}, sender_ttl_ms=60_000, max_backlog=10)
            assert await redis.run(send) == ["duplicate"]
            assert await hub.aio.ref("other").call("entries") == {}
            await redis.close()
            await client.aio.close()

    asyncio.run(scenario())


def test_a_try_that_arrives_before_its_repetition_is_made_void_was_done(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=1)
    keys, redis = hub.keys, SyncRedis(hub.server)
    start = start_children(
        keys, 0, "s", 1, {"child": b"{}"}, reply_to="s", timeout_ms=0, all_or_nothing=False, sender_ttl_ms=60_000
    )
    message = Outgoing("cast", "child", "record", b"", 0.0, False)
    send = send_messages(keys, "s", {0: [(2, message)]}, sender_ttl_ms=60_000, max_backlog=10)
    assert redis.run(send) == ["unknown"]
    assert redis.run(start) == ["ok"]
    assert redis.run(send) == ["ok"]
    for _ in range(2):  # the answer to the first one is lost
        assert redis.run(void_numbers(keys, "s", [2, 3], 60_000)) == ["duplicate", "void"]
    assert redis.run(void_numbers(keys, "s", [4], 60_000)) == ["void"]
    assert redis.run(void_numbers(keys, "s", [2, 3, 4], 60_000)) == ["duplicate", "void", "void"]
    window = plain("HGET", keys.sender("s"), "void", read=lambda found: sorted(found.split()))
    assert redis.run(window) == [b"3", b"4"]
    far = send_messages(keys, "s", {0: [(9_000, message)]}, sender_ttl_ms=60_000, max_backlog=10)
    assert redis.run(far) == ["ok"]
    assert redis.run(void_numbers(keys, "s", [9_001], 60_000)) == ["void"]
    assert redis.run(window) == [b"9001"]  # the window reaches back to the others no more
    redis.close()
