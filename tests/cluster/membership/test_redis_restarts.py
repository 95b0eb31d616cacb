"""Redis goes away and comes back, with its data (AOF) or without."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubq import Hub, UnknownChild
from hubq.store.connection import RedisServer
from hubq.store.embedded import EmbeddedServer
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, probe


@pytest.fixture
def aof() -> Iterator[EmbeddedServer]:
    """A Redis of one's own that keeps its data over a restart."""
    with EmbeddedServer(appendonly=True) as embedded:
        if embedded.kind == "fakeredis":
            pytest.skip("fakeredis cannot be restarted")
        yield embedded


async def stop(redis: EmbeddedServer) -> None:
    await asyncio.to_thread(redis.stop, keep=True)


async def start(redis: EmbeddedServer) -> None:
    await asyncio.to_thread(redis.start)


async def outage(cluster: Cluster, redis: EmbeddedServer, until_dropped: bool) -> None:
    await stop(redis)
    if until_dropped:
        await eventually(lambda: not any(probe(node).holds for node in cluster.nodes.values()), 10, "children dropped")
    await start(redis)


@pytest.mark.parametrize("names", [["a"], ["a", "b"]])
@pytest.mark.parametrize("longer_than_the_lease", [False, True])
def test_a_restart_with_its_data_loses_nothing(
    aof: EmbeddedServer, names: list[str], longer_than_the_lease: bool
) -> None:
    async def scenario() -> None:
        lease = 1.5 if longer_than_the_lease else 8.0
        hub = Hub("restart", redis=RedisServer(aof.url), shards=8, lease=lease, lease_margin=0.4, heartbeat=0.1)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start(*names)
            await cluster.settled()
            children = [f"c{n}" for n in range(12)]
            for child in children:
                await hub.aio.start_child(child, LedgerChild)
                await ledger.call("before", child)
            during = [asyncio.ensure_future(ledger.call("during", child)) for child in children]
            await outage(cluster, aof, longer_than_the_lease)
            await asyncio.gather(*during)
            await cluster.settled()
            for child in children:
                await ledger.call("after", child)
            await ledger.check()

    asyncio.run(scenario())


def test_a_restart_without_its_data_is_a_fresh_hub_and_no_crash_loop(aof: EmbeddedServer) -> None:
    async def scenario() -> None:
        hub = Hub("wiped", redis=RedisServer(aof.url), shards=8, lease=2.0, lease_margin=0.4, heartbeat=0.1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", LedgerChild)
            incarnation = probe(cluster.nodes["a"]).incarnation
            assert incarnation == 1
            await stop(aof)
            await asyncio.to_thread(shutil.rmtree, f"{aof.directory}/appendonlydir", True)
            await asyncio.to_thread(lambda: [file.unlink() for file in Path(str(aof.directory)).glob("*.aof")])
            await start(aof)
            with pytest.raises(UnknownChild):
                await hub.aio.ref("c").call("entries")
            await eventually(lambda: not cluster.copies("c"), 10, "the child of the lost data has stopped")
            await cluster.settled()
            await hub.aio.start_child("c", LedgerChild)
            assert await hub.aio.ref("c").call("entries") == {}

    asyncio.run(scenario())
