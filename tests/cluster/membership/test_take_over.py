"""How soon a dead node's shards are served again."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq.store.control import read_events
from hubq.store.membership import read_leases
from hubq.testing import Cluster, eventually, probe


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
