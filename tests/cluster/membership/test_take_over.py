"""How soon a dead node's shards are served again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq.config import Config
from hubq.store.events import read_events
from hubq.store.membership import read_leases
from hubq.testing import Cluster, LedgerChild, eventually, probe


def test_a_dead_node_is_evicted_right_after_its_lease_not_at_a_heartbeat(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4, lease=2.5, lease_margin=0.2, heartbeat=1.0)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled()
            redis = probe(cluster.nodes["a"]).connection
            await cluster.kill("b")
            lease_end = (await redis.run(read_leases(hub.keys)))["b"]

            async def evicted() -> int:
                events = await redis.run(read_events(hub.keys, "0", 1000))
                return next((int(entry.split("-")[0]) for entry, e in events if e["type"] == "node_evicted"), 0)

            at = await eventually(evicted, 10.0, "b is evicted")
            assert lease_end <= at < lease_end + 500
            assert (await cluster.settled()) == {"a": 4}

    asyncio.run(scenario())


@pytest.mark.long
def test_a_call_with_the_default_time_out_is_answered_after_a_crash_with_the_default_lease(make_hub: Any) -> None:
    """The call is made right after the crash, so it waits for a whole lease. It has as long again to be answered."""

    async def scenario() -> None:
        usual = Config()
        hub = make_hub(shards=4, lease=usual.lease, lease_margin=usual.lease_margin, heartbeat=usual.heartbeat)
        hub.child(LedgerChild)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            children = [f"c{number}" for number in range(20)]
            for child in children:
                await hub.aio.start_child(child, LedgerChild)
            await cluster.start("b")
            await cluster.settled()
            began = asyncio.get_running_loop().time()
            await cluster.kill("b")
            assert await asyncio.gather(*(hub.aio.ref(child).call("entries") for child in children)) == [{}] * 20
            assert asyncio.get_running_loop().time() - began < 1.5 * usual.lease, "and there was room"

    asyncio.run(scenario())
