"""Redis that answers, but refuses: out of memory."""

from __future__ import annotations

import asyncio

import pytest

from hubq import Hub, RedisRefused
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.testing import Cluster, Ledger, LedgerChild, eventually


def test_out_of_memory_is_said_and_survived() -> None:
    async def scenario(server: RedisServer, redis: SyncRedis) -> None:
        def limit(value: str) -> None:
            redis.run(plain("CONFIG", "SET", "maxmemory", value, read=lambda answer: answer))

        hub = Hub("full", redis=server, shards=4, lease=1.5, lease_margin=0.4, heartbeat=0.1)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", LedgerChild)
            await ledger.call("s", "c")
            limit("1")
            with pytest.raises(RedisRefused, match=r"refuses .* it writes nothing until it has room again"):
                await hub.aio.ref("c").cast("record", "s", 99)
            await eventually(lambda: not cluster.copies("c"), 10, "the node has fenced itself")
            limit("0")
            await cluster.settled()
            await ledger.call("s", "c")
            await ledger.check()

    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            pytest.skip("fakeredis has no memory limit")
        server = RedisServer(embedded.url)
        redis = SyncRedis(server)
        asyncio.run(scenario(server, redis))
        redis.close()
