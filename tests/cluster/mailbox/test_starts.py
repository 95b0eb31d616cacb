"""Start messages: what ``on_start`` may do, Redis that is away, and many shards at once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import ChildSpec, Hub
from hubq.core.hashing import shard_of
from hubq.errors import RedisUnavailable
from hubq.store.registry import read_texts
from hubq.testing import Cluster, Ledger, LedgerChild, connections, eventually, interfere, probe


async def start(hub: Hub, kind: Any, names: list[str]) -> None:
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names])
    assert result.status == "ok"


class CommitsFirst(LedgerChild):
    async def on_start(self) -> None:
        await self.record("self", 1)
        await self.commit()


class StopsFirst(LedgerChild):
    async def on_start(self) -> None:
        await asyncio.sleep(0)
        self.stop()


def test_commit_and_stop_in_on_start(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            specs = [
                ChildSpec("commits", CommitsFirst),
                ChildSpec("stops", StopsFirst),
                ChildSpec("plain", LedgerChild),
            ]
            await hub.aio.start_children(specs, timeout=5)
            assert await hub.aio.ref("plain").call("record", "x", 1) == 1
            assert await hub.aio.ref("commits").call("entries") == {"self": [1]}

            async def gone() -> bool:
                return {child.child_id for child in await hub.aio.children()} == {"commits", "plain"}

            await eventually(gone, what="the one that stops itself is gone")

    asyncio.run(scenario())


def test_a_start_outlives_an_outage_in_which_its_shard_stays(make_hub: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The specs cannot be read for longer than the node tries; its lease is renewed all the same."""
    caplog.set_level("CRITICAL", "hubq.node")

    async def scenario() -> None:
        hub = make_hub(shards=2)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await cluster.settled()
            away = RedisUnavailable("no answer")
            with interfere.requests_fail(node, lambda words: words[0] == "HMGET", away, 2) as refused:
                await start(hub, LedgerChild, ["c"])
            assert len(refused) == 2
            ledger = Ledger(hub)
            await ledger.call("x", "c")
            await ledger.check()
            assert await probe(node).connection.run(read_texts(hub.keys.backlog(shard_of("c", 2)))) == {}

    asyncio.run(scenario())


def test_a_start_over_thousands_of_shards(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=4096)
    names = [f"c{n}" for n in range(6000)]
    assert len({shard_of(name, 4096) for name in names}) > 2500
    ticket = connections.ticket_of(hub.start_children([ChildSpec(name, LedgerChild) for name in names]))
    assert sum(len(children) for children in ticket.awaited.values()) == 6000
    hub.ref("c1").cast("record", "x", 1)
    hub.close()
