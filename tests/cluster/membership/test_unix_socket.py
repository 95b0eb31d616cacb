"""A hub whose Redis listens on a socket of the file system."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubq import Hub
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import find_server
from hubq.testing import Cluster, Ledger, LedgerChild
from tests.real_redis import no_real_redis


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Where it listens. (It answers once it does.)"""
    binary, _ = find_server()
    if binary is None:
        no_real_redis()
    path = tmp_path / "s"
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        asked = SyncRedis(RedisServer(f"unix://{path}"))
        asked.run(plain("PING", read=str), retry_for=10.0)
        asked.close()
        yield f"unix://{path}"
    finally:
        process.kill()
        process.wait()


def test_children_are_served_and_move(url: str) -> None:
    async def scenario() -> None:
        hub = Hub("local", redis=url, shards=4, heartbeat=0.1)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = [f"c{n}" for n in range(4)]
            for child in children:
                await hub.aio.start_child(child, LedgerChild)
                await ledger.call("s", child)
            await cluster.start("b")
            await cluster.settled()
            assert await cluster.drain("a")
            for child in children:
                await ledger.call("s", child)
            assert not ledger.failed
            await ledger.check()

    asyncio.run(scenario())
