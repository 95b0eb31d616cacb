"""A hub with one node and one child, its ledger, and its connections to Redis."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from hubq import Hub
from hubq.client.asking.loop_driver import LoopDriver
from hubq.store.connection import RedisServer
from hubq.testing import Cluster, Ledger, LedgerChild

_numbers = itertools.count()
Scenario = Callable[[Hub, Ledger, Any], Awaitable[None]]


def run(server: RedisServer, scenario: Scenario) -> None:
    """A node, a child, a call by which the connections stand; at the end the ledger."""

    async def main() -> None:
        hub = Hub(f"w{os.getpid()}-{next(_numbers)}", redis=server, shards=2)
        async with Cluster(hub) as cluster, Redis.from_url(server.url) as redis:
            await cluster.start("a")
            await hub.aio.start_child("c", LedgerChild)
            ledger = Ledger(hub)
            await ledger.call("s", "c")
            await scenario(hub, ledger, redis)
            assert not ledger.failed
            await ledger.check()

    asyncio.run(main())


async def session_of(hub: Hub) -> Any:
    """What asks Redis for the loop that runs."""
    driver = hub.aio.driver
    assert isinstance(driver, LoopDriver)
    return await driver.asker()
