"""Redis has lost what it had confirmed: the nodes notice by themselves, and the hub serves what Redis still has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator

import pytest

from hubq import Hub
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.store.events import read_events
from hubq.testing import Cluster, LedgerChild, eventually, moments, probe

CHILDREN = [f"c{n}" for n in range(12)]


@pytest.fixture
def redis() -> Iterator[EmbeddedServer]:
    """A Redis without AOF: it comes back with its last snapshot."""
    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            pytest.skip("fakeredis cannot be restarted")
        yield embedded


def snapshot(redis: EmbeddedServer) -> None:
    client = SyncRedis(RedisServer(redis.url))
    client.run(plain("SAVE", read=lambda answer: answer))
    client.close()


async def back_to_the_snapshot(redis: EmbeddedServer) -> None:
    assert redis.pid is not None
    os.kill(redis.pid, signal.SIGKILL)
    await asyncio.to_thread(redis.stop, keep=True)
    await asyncio.to_thread(redis.start)


async def record(hub: Hub, sender: str) -> None:
    for child in CHILDREN:
        await hub.aio.ref(child).call("record", sender, 1, timeout=20)


async def events(redis: EmbeddedServer, hub: Hub) -> list[str]:
    client = SyncRedis(RedisServer(redis.url))
    found = [fields["type"] for _, fields in client.run(read_events(hub.keys, "0", 10_000))]
    client.close()
    return found


def hub_at(redis: EmbeddedServer, name: str) -> Hub:
    return Hub(name, redis=RedisServer(redis.url), shards=8, lease=3.0, lease_margin=0.4, heartbeat=0.1)


def test_commits_of_the_lost_time_are_not_mixed_with_what_is_there(redis: EmbeddedServer) -> None:
    """Nobody came or went: only states and messages went back, under the same owners."""

    async def scenario() -> None:
        hub = hub_at(redis, "states")
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            for child in CHILDREN:
                await hub.aio.start_child(child, LedgerChild)
            await record(hub, "kept")
            for child in CHILDREN:
                await hub.aio.ref(child).cast("record", "waiting", 1)
            snapshot(redis)  # the casts are in it, done or not
            granted = probe(node).lease_until_ms
            await record(hub, "lost")
            await eventually(lambda: probe(node).lease_until_ms > granted, 10, "a renewal is lost, too")
            await back_to_the_snapshot(redis)
            await record(hub, "after")
            for child in CHILDREN:
                entries = await hub.aio.ref(child).call("entries")
                assert entries == {"kept": [1], "waiting": [1], "after": [1]}, child
            await eventually(lambda: went_back(redis, hub), 10, "it is written down")

    asyncio.run(scenario())


async def went_back(redis: EmbeddedServer, hub: Hub) -> bool:
    return "redis_went_back" in await events(redis, hub)


@pytest.mark.parametrize("watched", [True, False], ids=["another process answers", "only what it says"])
def test_owners_that_go_back_in_time_are_believed(redis: EmbeddedServer, watched: bool) -> None:
    """a gave half of its shards to b in the time that is lost."""

    async def scenario() -> None:
        hub = hub_at(redis, "owners")
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in CHILDREN:
                await hub.aio.start_child(child, LedgerChild)
            await record(hub, "kept")
            snapshot(redis)
            await cluster.start("b")
            await cluster.settled()
            assert {node.name for node in await hub.aio.nodes() if node.shards} == {"a", "b"}
            await back_to_the_snapshot(redis)
            await record(hub, "after")
            await cluster.settled()
            assert {node.name for node in await hub.aio.nodes() if node.shards} == {"a", "b"}
            for child in CHILDREN:
                assert await hub.aio.ref(child).call("entries") == {"kept": [1], "after": [1]}
            await eventually(lambda: went_back(redis, hub), 10, "it is written down")
            incarnations = {node.name: node.incarnation for node in await hub.aio.nodes()}
            assert incarnations["a"] > 1 and incarnations["b"] > 2, "no node has an incarnation twice"

    with contextlib.nullcontext() if watched else moments.nobody_asks_who_answers():
        asyncio.run(scenario())
