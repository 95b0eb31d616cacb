"""A hub that is asked in many event loops, one after the other, has the connections of those that turn."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import threading
from collections.abc import Callable

import pytest
import redis

from hubq import Hub
from hubq.store.connection import RedisServer
from hubq.testing import Cluster, Ledger, LedgerChild

LOOPS = 12
_numbers = itertools.count()


@pytest.fixture
def connections(real_server: RedisServer) -> Callable[[], int]:
    """How many Redis has."""

    def count() -> int:
        with redis.Redis.from_url(real_server.url) as admin:
            return len(admin.client_list())

    return count


def twice(server: RedisServer, groups: int) -> tuple[Hub, Hub]:
    """A hub, as its node has it, and as a client has it."""
    name = f"loops-{os.getpid()}-{next(_numbers)}"
    serving, hub = (Hub(name, redis=server, shards=2, groups=groups) for _ in range(2))
    return serving, hub


async def served(hub: Hub, ready: threading.Event, over: threading.Event) -> None:
    async with Cluster(hub) as cluster:
        await cluster.start("a")
        await hub.aio.start_child("c", LedgerChild)
        ready.set()
        await asyncio.to_thread(over.wait)


class Served:
    """A hub with a node and a child, in a thread of its own."""

    def __init__(self, hub: Hub) -> None:
        self.over = threading.Event()
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(served(hub, ready, self.over)))
        self._thread.start()
        assert ready.wait(20)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._thread.join()


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("closes", [False, True])
def test_a_session_ends_with_its_loop(
    real_server: RedisServer, connections: Callable[[], int], closes: bool, groups: int
) -> None:
    serving, hub = twice(real_server, groups)

    async def asks() -> None:
        await ledger.call("s", "c")
        if closes:
            await hub.aio.close()

    with Served(serving):
        ledger = Ledger(hub)
        asyncio.run(asks())
        before = connections()
        for _ in range(LOOPS):
            asyncio.run(asks())
        assert connections() < before + LOOPS // 2  # (the node may have opened some)
        asyncio.run(ledger.check())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_session_of_a_loop_that_is_only_closed_is_dropped_with_the_next(
    real_server: RedisServer, connections: Callable[[], int]
) -> None:
    serving, hub = twice(real_server, 1)
    with Served(serving):
        ledger = Ledger(hub)
        counts = []
        for _ in range(LOOPS):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(ledger.call("s", "c"))
            loop.close()
            gc.collect()
            counts.append(connections())
        assert counts[-1] < counts[1] + LOOPS // 2, counts
        asyncio.run(ledger.check())
        gc.collect()  # what is left of the last one, as long as this may be warned of


def test_what_was_cast_before_the_loop_ends_is_sent(real_server: RedisServer) -> None:
    serving, hub = twice(real_server, 1)
    with Served(serving):
        ledger = Ledger(hub)
        asyncio.run(ledger.cast("s", "c"))
        asyncio.run(ledger.check())
