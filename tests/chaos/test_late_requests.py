"""What was sent on a connection that was lost must not be run after what was sent on its successor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from hubq.store.command import plain
from hubq.store.connection import AsyncRedis, RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.store.primary import PrimaryWatch
from hubq.testing import eventually
from tests.real_redis import no_real_redis

from .proxy import Network, Proxy


@pytest.fixture
def real() -> Iterator[EmbeddedServer]:
    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            no_real_redis("fakeredis has no connections")
        yield embedded


def put(value: str) -> object:
    return plain("SET", "state", value, read=lambda answer: answer)


def test_a_late_request_does_not_undo_a_later_one(real: EmbeddedServer) -> None:
    async def scenario(proxy: Proxy, direct: SyncRedis) -> None:
        redis = AsyncRedis(RedisServer(proxy.url), timeout=0.3, watch=PrimaryWatch())
        await redis.run(put("first"))
        await asyncio.to_thread(proxy.stall, standing_only=True)
        await redis.run(put("old"), retry_for=5.0)  # by a second connection; the first one still carries it
        await redis.run(put("new"))
        held = proxy.held
        assert held, "the request is still under way"
        await asyncio.to_thread(proxy.heal)
        await eventually(lambda: proxy.delivered >= held, 10, "it has come out of the network")
        await redis.run(put("newest" if direct.run(plain("GET", "state", read=bytes)) == b"new" else "undone"))
        assert direct.run(plain("GET", "state", read=bytes)) == b"newest"
        await redis.close()

    network = Network(real.port)
    direct = SyncRedis(RedisServer(real.url))
    try:
        asyncio.run(scenario(network.proxy(), direct))
    finally:
        network.close()
        direct.close()
