"""Sentinel fails over: workers and clients go on by themselves, with nothing lost but what Redis has lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubq import ChildSpec, Hub, RedisUnavailable
from hubq.store.embedded import find_server
from hubq.testing import Ledger, LedgerChild, eventually
from tests.real_redis import no_real_redis

from .servers import Failover

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(180)]
APPS = Path(__file__).parent.parent / "acceptance" / "apps"
CHILDREN = [f"c{n}" for n in range(16)]


@pytest.fixture
def servers() -> Iterator[Failover]:
    if find_server()[0] is None:
        no_real_redis()
    with Failover() as running:
        yield running


def start_workers(url: str, hub_id: str, directory: Path) -> list[subprocess.Popen[bytes]]:
    environment = {**os.environ, "HUBQ_TEST_HUB": hub_id, "HUBQ_REDIS_URL": url}
    workers = []
    for name in ("a", "b"):
        with (directory / f"{name}.log").open("wb") as out:
            command = [sys.executable, "-m", "hubq", "worker", "ledgers:hub", "--name", name]
            worker = subprocess.Popen(
                command, cwd=APPS, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        workers.append(worker)
    return workers


async def served(hub: Hub) -> bool:
    nodes = await hub.aio.nodes()
    return len(nodes) == 2 and sum(node.shards for node in nodes) == 64 and all(node.lease > 0 for node in nodes)


async def in_step(servers: Failover) -> None:
    """Everything confirmed so far is on the replica."""
    offset = servers.info(servers.primary_port)["master_repl_offset"]
    await eventually(lambda: servers.info(servers.replica_port)["slave_repl_offset"] >= offset, 10, "in step")


async def fail_over(servers: Failover) -> None:
    await asyncio.to_thread(servers.kill_primary)
    await eventually(lambda: asyncio.to_thread(servers.promoted), 30, "the replica is promoted")


@pytest.mark.long
def test_a_failover_that_loses_nothing(servers: Failover, tmp_path: Path) -> None:
    async def scenario(hub: Hub) -> None:
        ledger = Ledger(hub)
        await eventually(lambda: served(hub), 30, "both workers serve")
        await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN], timeout=30)
        for child in CHILDREN:
            await ledger.call("before", child)
        await in_step(servers)
        await fail_over(servers)
        await asyncio.gather(*(ledger.call("during", child, timeout=60) for child in CHILDREN))
        await eventually(lambda: served(hub), 30, "both workers serve again")
        for child in CHILDREN:
            await ledger.call("after", child)
            await asyncio.to_thread(
                hub.ref(child).cast, "record", "waiting", 1
            )  # the client that waits has found it, too
        assert ledger.failed == []
        for child in CHILDREN:
            entries = await hub.aio.ref(child).call("entries")
            assert entries == {"before": [1], "during": [1], "after": [1], "waiting": [1]}

    play(servers, tmp_path, "failover", scenario)


@pytest.mark.long
def test_a_failover_that_loses_confirmed_writes(servers: Failover, tmp_path: Path) -> None:
    async def scenario(hub: Hub) -> None:
        ledger = Ledger(hub)
        await eventually(lambda: served(hub), 30, "both workers serve")
        await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN], timeout=30)
        for child in CHILDREN:
            await ledger.call("kept", child)
        await in_step(servers)
        servers.stop_replication()
        for child in CHILDREN:
            await ledger.call("lost", child)
        await hub.aio.drain("a")  # ownership goes back in time as well: to a node that is not there any more
        await eventually(lambda: owners(hub, 1), 20, "a has left")
        await fail_over(servers)

        async def all_of_b() -> bool:
            with contextlib.suppress(RedisUnavailable):  # the Sentinel may not know yet
                nodes = {node.name: node for node in await hub.aio.nodes()}
                return set(nodes) == {"b"} and nodes["b"].shards == 64
            return False

        await eventually(all_of_b, 30, "the node that is left serves all")
        for child in CHILDREN:
            await hub.aio.ref(child).call("record", "after", 1, timeout=30)
            assert await hub.aio.ref(child).call("entries") == {"kept": [1], "after": [1]}

    play(servers, tmp_path, "lossy", scenario)
    assert "Redis has lost writes that it had confirmed" in (tmp_path / "b.log").read_text()


async def owners(hub: Hub, count: int) -> bool:
    return len(await hub.aio.nodes()) == count


def play(servers: Failover, directory: Path, hub_id: str, scenario: object) -> None:
    hub = Hub(hub_id, redis=servers.url, lease=2.0, lease_margin=0.5)
    workers = start_workers(servers.url, hub_id, directory)

    async def whole() -> None:
        try:
            await scenario(hub)  # type: ignore[operator]
        finally:
            await hub.aio.close()

    try:
        asyncio.run(whole())
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        hub.close()
        for log in sorted(directory.glob("*.log")):
            print(f"--- {log.name}\n{log.read_text()}")
