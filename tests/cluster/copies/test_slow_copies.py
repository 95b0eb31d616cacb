"""Copies that are slower than their originals."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from hubq import Hub, Replication
from hubq.node.node import Node
from hubq.store.connection import AsyncRedis
from hubq.store.mailbox import mailbox_length
from hubq.testing import ChildHere, Cluster, LedgerChild, eventually, interfere, probe


class Gated(LedgerChild):
    """Waits in each message, on the node that has the gate."""

    gates: ClassVar[dict[str, asyncio.Event]] = {}

    async def through(self, sender: str, number: int) -> None:
        if self.node_name in self.gates:
            await self.gates[self.node_name].wait()
        await self.record(sender, number)


class Saved(Gated):
    """Saves after each message, and answers before that."""

    durability = "interval"
    save_every, save_after = 60.0, 1


async def held_copy(hub: Hub, cluster: Cluster, child: str, kind: type[Gated]) -> tuple[Node, ChildHere]:
    """A child on node a that has handled three messages; its copy on node b is held at the first of them."""
    Gated.gates = {"b": asyncio.Event()}
    await cluster.start("a")
    await hub.aio.start_child(child, kind)
    follower = await cluster.start("b")
    await eventually(lambda: probe(follower).shards_followed, 20, "b follows")
    (copy,) = probe(follower).copies()
    for number in range(3):
        await hub.aio.ref(child).call("through", "x", number)
    await eventually(lambda: copy.busy and copy.waiting == 2, 10, "the copy is held")
    return follower, copy


def test_copies_go_on_when_the_lease_of_their_node_is_trusted_again(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1, lease=30.0, lease_margin=20.0, redundancy=Replication(2, "active_active"))
        async with Cluster(hub) as cluster:
            follower, copy = await held_copy(hub, cluster, "gated", Gated)
            async with interfere.lease_not_renewed(follower, 15.0):  # longer ago than it may be trusted, and not over
                Gated.gates["b"].set()
                await eventually(lambda: not copy.busy, 10, "it does not go on")
                assert copy.waiting == 2
            await eventually(lambda: not copy.waiting and not copy.busy, 10, "it goes on")

    asyncio.run(scenario())


def test_a_copy_that_is_behind_the_saved_state_is_not_taken(make_hub: Any) -> None:
    """The messages that it has not handled are in the state that its original has saved, and in no mailbox any more."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=1, redundancy=Replication(2, "active_active"))
        async with Cluster(hub) as cluster:
            await held_copy(hub, cluster, "saved", Saved)
            redis = AsyncRedis(hub.server)

            async def saved() -> bool:
                return await redis.run(mailbox_length(hub.keys, 0)) == 0

            await eventually(saved, 10, "the original has saved all of it")
            await redis.close()
            await cluster.kill("a")
            assert await hub.aio.ref("saved").call("entries", timeout=20) == {"x": [0, 1, 2]}

    asyncio.run(scenario())
