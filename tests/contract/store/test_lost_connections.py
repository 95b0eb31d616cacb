"""What a lost connection looks like from outside, and that nothing is half done after it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import Hub
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis, RedisServer
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, interfere

#: What uvloop says when the other side has closed the connection between two writes.
CLOSED = "unable to perform operation on <TCPTransport closed=True>; the handler is closed"


class ClosedConnection:
    """A connection that is closed by the other side as soon as it stands."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def connect(self) -> None:
        raise self.error


class ClosingServer(RedisServer):
    """A real server, the first connection to which is closed at once."""

    def __init__(self, url: str, error: Exception) -> None:
        super().__init__(url)
        self.error = error

    def async_client(self, timeout: float) -> Any:
        client = super().async_client(timeout)
        good = client.connection_pool.make_connection

        def first() -> Any:
            client.connection_pool.make_connection = good
            return ClosedConnection(self.error)

        client.connection_pool.make_connection = first
        return client


async def ping(server: RedisServer) -> Any:
    redis = AsyncRedis(server)
    try:
        return await redis.run(plain("PING", read=lambda answer: answer), retry_for=1.0)
    finally:
        await redis.close()


def test_a_connection_that_uvloop_finds_closed_is_tried_again(real_server: RedisServer) -> None:
    assert asyncio.run(ping(ClosingServer(real_server.url, RuntimeError(CLOSED)))) == b"PONG"


def test_a_lease_that_is_not_renewed_is_warned_of_with_a_reason(
    make_hub: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub(shards=1)) as cluster:
            await cluster.start("a")
            cluster.freeze("a")

            def warned() -> list[str]:
                return [record.message for record in caplog.records if "not renewed" in record.message]

            await eventually(warned, what="a warning of the lease thread")
            (said,) = warned()
            assert said.startswith("lease of a not renewed: ") and "no answer within " in said

    asyncio.run(scenario())


def test_another_runtime_error_is_not_swallowed(real_server: RedisServer) -> None:
    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(ping(ClosingServer(real_server.url, RuntimeError("a bug"))))


def test_a_commit_that_fails_for_no_known_reason_is_not_half_done(make_hub: Any) -> None:
    async def scenario(hub: Hub) -> None:
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", LedgerChild)
            await ledger.call("s", "c")
            with interfere.next_commit_raises(cluster.nodes["a"], ValueError("nobody thought of this")) as failed:
                await ledger.call("s", "c")
                assert failed
                await ledger.call("s", "c")
                await ledger.check()

    asyncio.run(scenario(make_hub()))
