"""A node that has to end before its children have moved."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq import ChildSpec, Hub
from hubq.core.hashing import shard_of
from hubq.store.connection import AsyncRedis
from hubq.store.mailbox import mailbox_length
from hubq.testing import Cluster, LedgerChild, eventually, interfere, probe


class Stuck(LedgerChild):
    """Never ends its message."""

    async def hold(self) -> None:
        await asyncio.Event().wait()


def test_a_node_that_runs_out_of_time_commits_what_it_has_done(make_hub: Any) -> None:
    """Its last act: what is finished is committed, what is not is left in the mailbox."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_children([ChildSpec("quick", LedgerChild), ChildSpec("stuck", Stuck)])
            await hub.aio.ref("stuck").cast("hold")
            await eventually(lambda: bool(probe(node).busy))
            await interfere.commit_only_at_the_end(node)
            await hub.aio.ref("quick").cast("record", "x", 1)
            await eventually(lambda: bool(probe(node).uncommitted), what="it is handled")
            assert not await cluster.drain("a", timeout=0.3)
            redis = AsyncRedis(hub.server)
            assert await redis.run(mailbox_length(hub.keys, shard_of("quick", 1))) == 1, "the one that never ends"
            await redis.close()
            await cluster.start("b")
            assert await hub.aio.ref("quick").call("entries", timeout=10) == {"x": [1]}

    asyncio.run(scenario())
