"""``wait_replicas``: what has returned is on the replicas, and what is not says so."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from hubq import Child, ConfigError, Hub, NotReplicated
from hubq.store.embedded import find_server
from hubq.testing import Cluster, eventually
from tests.real_redis import no_real_redis

from .servers import Failover

pytestmark = pytest.mark.timeout(120)


class Saver(Child):
    """Saves by itself, and says how that went."""

    def __init__(self) -> None:
        self.count = 0
        self.said = ""

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            self.count += 1
            try:
                await self.commit()
            except NotReplicated as error:
                self.said = str(error)

    async def add(self) -> int:
        self.count += 1
        return self.count

    async def word(self) -> str:
        return self.said


class Careless(Saver):
    """Does not mind what ``commit()`` raises: its ``run()`` ends, and it is built anew."""

    built = 0

    def __init__(self) -> None:
        super().__init__()
        Careless.built += 1

    async def run(self) -> None:
        while True:
            await asyncio.sleep(0.05)
            await self.commit()


@pytest.fixture
def servers() -> Iterator[Failover]:
    if find_server()[0] is None:
        no_real_redis()
    with Failover() as running:
        yield running


@pytest.mark.long
def test_what_returns_is_on_the_replica_and_what_is_not_says_so(servers: Failover) -> None:
    async def scenario() -> None:
        hub = Hub("waiting", redis=servers.url, shards=4, wait_replicas=1, wait_timeout=3.0)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Saver)
            await asyncio.to_thread(lambda: hub.start_child("d", Saver).result())
            assert await hub.aio.ref("c").call("add") >= 1
            assert await asyncio.to_thread(hub.ref("d").call, "add") >= 1
            assert await hub.aio.ref("c").call("word") == ""
            await asyncio.to_thread(servers.stop_replication)
            said = r"but only 0 of 1 replicas \(wait_replicas\) have confirmed it within 3 s"
            with pytest.raises(NotReplicated, match="sent, " + said):
                await hub.aio.ref("c").cast("add")
            with pytest.raises(NotReplicated, match="sent, " + said):
                await asyncio.to_thread(hub.ref("d").cast, "add")
            with pytest.raises(NotReplicated, match="started, " + said):
                await asyncio.to_thread(hub.start_child, "e", Saver)
            alone = Hub("waiting", redis=servers.url, shards=4)

            async def told() -> bool:
                return "committed, but only 0 of 1" in await alone.aio.ref("c").call("word")

            await eventually(told, 20, "commit() has told the child")
            await alone.aio.close()
            hub.close()

    asyncio.run(scenario())


def test_a_child_whose_run_ends_for_want_of_replicas_is_built_anew_without_them(servers: Failover) -> None:
    async def scenario() -> None:
        hub = Hub("careless", redis=servers.url, shards=4, wait_replicas=1, wait_timeout=0.2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            alone = Hub("careless", redis=servers.url, shards=4)  # waits for no replica, however slow this machine is
            await alone.aio.start_child("c", Careless)
            built = Careless.built
            await asyncio.to_thread(servers.stop_replication)
            await eventually(lambda: Careless.built > built, 20, "it is built anew")
            assert await alone.aio.ref("c").call("add") == 1
            await alone.aio.close()

    asyncio.run(scenario())


def test_a_wait_that_outlasts_the_lease_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"wait_timeout=1.5 is too long for lease=2"):
        Hub("w", lease=2.0, lease_margin=0.5, wait_replicas=1, wait_timeout=1.5)
