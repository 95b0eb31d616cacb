"""A start and a message of the same child, each to be tried alone."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq import CallTimeout, Hub
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.testing import Cluster, LedgerChild, eventually, probe


class Opening(LedgerChild):
    """Starts when it may."""

    may_start: ClassVar[asyncio.Event]

    async def on_start(self) -> None:
        await self.may_start.wait()


def test_a_child_whose_start_and_whose_message_are_both_to_be_tried_alone(make_hub: Any) -> None:
    """The trial of the start waited for the end of the message, which waited for its own trial. (If another child's message
    ended in the same moment: see the mutation ``long-trial`` of the simulation.)
    """

    async def scenario() -> None:
        Opening.may_start = asyncio.Event()
        hub: Hub = make_hub(shards=1)
        hub.child(Opening)
        async with Cluster(hub) as cluster:
            with pytest.raises(CallTimeout):
                await hub.aio.start_child("child", Opening, timeout=0.05)
            await hub.aio.ref("child").cast("record", "x", 1)
            redis, keys = AsyncRedis(hub.server), hub.keys
            (last,) = await redis.run(plain("XREVRANGE", keys.mailbox(0), "+", "-", "COUNT", 1, read=list))
            entry = last[0].decode()
            tries = ("watch", f"{entry} careful x#1 x#2", "message child", f"{entry} 2 - x#1 x#2")
            await redis.run(plain("HSET", keys.tries(0), *tries, read=int))
            await redis.close()
            node = await cluster.start("a")
            await eventually(lambda: any(child.waiting for child in probe(node).children()), 10, "its message is read")
            Opening.may_start.set()
            assert await hub.aio.ref("child").call("entries", timeout=10) == {"x": [1]}

    asyncio.run(scenario())
