"""A node joins all groups of a hub, and is a member of each from the first to the last."""

from __future__ import annotations

import asyncio

import pytest

from hubq import Hub
from hubq.store.connection import AsyncRedis
from hubq.store.membership import join_node, wire_of
from hubq.testing import Cluster, FakeServer
from tests.cluster.groups.test_groups import a_hub

pytestmark = pytest.mark.timeout(60)

LEASE = 1.0


async def a_dead_node(hub: Hub, name: str, group: int, lease: float) -> None:
    """A member of one group that renews nothing."""
    context, server = hub.groups.contexts[group], hub.groups.servers[group]
    redis = AsyncRedis(server)
    wire = wire_of(group, hub.config.groups)
    command = join_node(context.keys, name, {"life": "0"}, int(lease * 1000), 100, hub.config.shards, 0, 0, wire)
    assert (await redis.run(command)).status == "ok"
    await redis.close()


def test_it_keeps_its_lease_in_one_group_while_it_waits_for_its_name_in_another() -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        hub = a_hub(servers, groups=2, lease=LEASE, lease_margin=0.1)
        async with Cluster(hub) as cluster:
            await cluster.start("other")
            await a_dead_node(hub, "late", group=1, lease=1.5 * LEASE)
            await cluster.start("late")
            told = servers[0].sync_client(1.0).xrange(hub.groups.contexts[0].keys.events)
            assert [fields[b"type"] for _, fields in told if fields.get(b"node") == b"late"] == [b"node_joined"]

    asyncio.run(scenario())
