"""Dormant children: they rest, wake and expire, and nothing is lost (docs/dormant.md)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import Child, UnknownChild, read
from hubq.store.command import plain
from hubq.testing import Cluster, Ledger, LedgerChild, eventually
from hubq.testing.probe import probe

IDLE = 0.05


class Sleepy(LedgerChild):
    idle_after = IDLE
    activate = True

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self.name = name

    async def hello(self) -> str:
        return f"hi {self.name}"

    @read
    async def name_now(self) -> str:
        return self.name

    async def later(self) -> None:
        self.remind("tick", "clock", 1, call=Sleepy.record, after=0.4)

    async def fail(self) -> None:
        raise ValueError("no")


class Teller(Child):
    async def tell(self, child: str, number: int) -> None:
        self.ref(Sleepy, child).cast(Sleepy.record, "teller", number)


async def raw(cluster: Cluster, *args: Any) -> Any:
    """The answer of Redis to a command."""
    node = next(iter(cluster.nodes.values()))
    return await probe(node).connection.run(plain(*args, read=lambda answer: answer))


async def is_dormant(cluster: Cluster, name: str) -> bool:
    hub = cluster.hub
    return bool(await raw(cluster, "HEXISTS", hub.keys.dormant(hub.driver.context.shard_of(name)), name))


async def rest(cluster: Cluster, *names: str) -> None:
    """Wait until these children are dormant; nothing of them is anywhere else."""
    keys, context = cluster.hub.keys, cluster.hub.driver.context

    async def all_are() -> bool:
        return all([await is_dormant(cluster, name) for name in names])

    await eventually(all_are, 20, f"{', '.join(names)} are dormant")
    for name in names:
        shard = context.shard_of(name)
        assert not await raw(cluster, "HEXISTS", keys.children(shard), name)
        assert not await raw(cluster, "HEXISTS", keys.msk(shard), name)
        assert all(name not in [child.child_id for child in node.children] for node in cluster.nodes.values())


def test_a_child_rests_and_its_next_message_wakes_it_with_its_state(make_hub: Any, hubq_run: Any) -> None:
    async def scenario() -> None:
        async with Cluster(make_hub()) as cluster:
            node = await cluster.start("a")
            hub = cluster.hub
            ledger = Ledger(hub)
            await hub.aio.start_child("s-1", Sleepy, "one")
            await ledger.call("x", "s-1")
            await rest(cluster, "s-1")
            assert node.children == [], "nothing of it is left in the node"
            await ledger.call("x", "s-1")
            assert await hub.aio.ref("s-1").call("hello") == "hi one"
            await ledger.check()

    hubq_run(scenario())
