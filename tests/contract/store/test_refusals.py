"""Redis that answers, but refuses: out of memory, or a replica."""

from __future__ import annotations

import asyncio

import pytest

from hubq import Hub, RedisRefused
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, probe


class Steady(LedgerChild):
    """Has one message that takes as long as it is told to."""

    async def record_when(self, sender: str, number: int) -> int:
        await Steady.gate.wait()
        return await self.record(sender, number)

    gate: asyncio.Event


def test_out_of_memory_is_said_and_survived() -> None:
    async def scenario(server: RedisServer, redis: SyncRedis) -> None:
        def limit(value: str) -> None:
            redis.run(plain("CONFIG", "SET", "maxmemory", value, read=lambda answer: answer))

        hub = Hub("full", redis=server, shards=4, lease=1.5, lease_margin=0.4, heartbeat=0.1)
        ledger, Steady.gate = Ledger(hub), asyncio.Event()
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("c", Steady)
            await ledger.call("s", "c")
            in_hand = asyncio.ensure_future(hub.aio.ref("c").call("record_when", "held", 1))
            await eventually(lambda: bool(probe(node).busy), 10, "the message is in hand")
            limit("1")
            with pytest.raises(RedisRefused, match=r"refuses .* it writes nothing until it has room again"):
                await hub.aio.ref("c").cast("record", "s", 99)
            granted, incarnation = probe(node).lease_until_ms, probe(node).incarnation
            await eventually(
                lambda: probe(node).lease_until_ms > granted + 2500, 10, "the lease was kept for longer than it is"
            )
            assert probe(node).incarnation == incarnation and cluster.copies("c")
            Steady.gate.set()
            assert await in_hand == 1  # what was accepted is done, committed and answered
            with pytest.raises(RedisRefused, match="refuses"):
                await hub.aio.ref("c").cast("record", "s", 99)
            await cluster.start("b")  # shards move, too
            await cluster.settled()
            assert len({node.name for node in await hub.aio.nodes() if node.shards}) == 2
            limit("0")
            await ledger.call("s", "c")
            assert await hub.aio.ref("c").call("entries") == {"s": [1, 2], "held": [1]}

    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            pytest.skip("fakeredis has no memory limit")
        server = RedisServer(embedded.url)
        redis = SyncRedis(server)
        asyncio.run(scenario(server, redis))
        redis.close()


def test_a_wrong_password_is_not_taken_for_a_redis_that_is_away() -> None:
    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            pytest.skip("fakeredis has no passwords")
        redis = SyncRedis(RedisServer(embedded.url))
        redis.run(plain("CONFIG", "SET", "requirepass", "secret", read=lambda answer: answer))
        redis.close()
        wrong = Hub("locked", redis=embedded.url.replace("//", "//:guess@"))
        says = r"refuses \(.*\): check the user, the password"
        with pytest.raises(RedisRefused, match=says):
            wrong.nodes()
        with pytest.raises(RedisRefused, match=says):
            asyncio.run(wrong.aio.nodes())
        with pytest.raises(RedisRefused, match=says):
            wrong.enqueue("os.getcwd")
        wrong.close()
        none = Hub("locked", redis=embedded.url)
        with pytest.raises(RedisRefused, match=says):
            none.nodes()
        none.close()


def test_a_replica_is_waited_for_until_it_is_the_primary() -> None:
    async def scenario(server: RedisServer, redis: SyncRedis) -> None:
        def replica_of(*primary: str) -> None:
            redis.run(plain("REPLICAOF", *primary, read=lambda answer: answer))

        hub = Hub("demoted", redis=server, shards=4, lease=1.5, lease_margin=0.4, heartbeat=0.1)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", LedgerChild)
            await ledger.call("s", "c")
            replica_of("127.0.0.1", "1")  # nobody is there: it keeps what it has, and writes nothing
            waiting = asyncio.ensure_future(ledger.call("s", "c"))
            with pytest.raises(RedisRefused, match="it is a replica: use the URL of the primary"):
                await asyncio.to_thread(refused, redis)
            await eventually(lambda: not cluster.copies("c"), 10, "the node has fenced itself")
            replica_of("NO", "ONE")
            await waiting
            await cluster.settled()
            await ledger.call("s", "c")
            assert ledger.failed == []
            await ledger.check()

    def refused(redis: SyncRedis) -> None:
        redis.run(plain("SET", "x", "1", read=lambda answer: answer))

    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            pytest.skip("fakeredis has no replicas")
        server = RedisServer(embedded.url)
        redis = SyncRedis(server)
        asyncio.run(scenario(server, redis))
        redis.close()
