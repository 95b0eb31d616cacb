"""A node joins all groups of a hub, and is a member of each from the first to the last."""

from __future__ import annotations

import asyncio
import logging

import pytest

from hubq import ChildSpec, Hub, RedisUnavailable
from hubq.store.connection import AsyncRedis
from hubq.store.membership import join_node, wire_of
from hubq.testing import Cluster, FakeServer, Ledger, LedgerChild, eventually, interfere
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


AWAY = 1  # the primary, and with two primaries the group


def child_of(hub: Hub, group: int) -> str:
    return next(child for n in range(100) if hub.driver.context.group_of(child := f"child-{n}") == group)


async def a_hub_that_was_used(servers: list[FakeServer]) -> Hub:
    """All its groups are open, and each has a child."""
    hub = a_hub(servers, groups=2, lease=LEASE, lease_margin=0.1, heartbeat=0.1)
    hub.child(LedgerChild)
    async with Cluster(hub) as cluster:
        await cluster.start("first")
        await hub.aio.start_children([ChildSpec(child_of(hub, group), LedgerChild) for group in (0, AWAY)])
        await cluster.drain("first")
    return hub


async def open_shards(cluster: Cluster, count: int) -> None:
    await eventually(lambda: len(cluster.serving()) == count, 10, f"{count} shards are served")


def test_a_group_whose_primary_is_away_is_joined_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        hub = await a_hub_that_was_used(servers)
        ledger = Ledger(hub)
        here, away = child_of(hub, 0), child_of(hub, AWAY)
        async with Cluster(hub) as cluster:
            servers[AWAY].connected = False
            caplog.set_level(logging.INFO, "hubq")
            node = await cluster.start("a")
            await open_shards(cluster, 8)
            await ledger.call("app", here)
            why = node.pulse.why_unready()
            assert why.startswith("group 1 is not joined: ") and node.pulse.vitals.unready == why
            assert not node.ready and not node.pulse.vitals.ready
            with interfere.tries_to_join(node) as tried:
                await tried.wait()
            servers[AWAY].connected = True
            await open_shards(cluster, 16)
            await ledger.call("app", away)
            await eventually(lambda: node.ready, 10, "it is ready")
            await ledger.check()
            said = [record.getMessage() for record in caplog.records if "group 1" in record.getMessage()]
            assert sum("does not join group 1 yet" in line for line in said) == 1
            assert sum("joined hub" in line for line in said) == 1
            assert await cluster.drain("a")

    asyncio.run(scenario())


@pytest.mark.parametrize("way", ["drain", "told", "kill"])
def test_a_node_that_has_not_joined_a_group_ends_without_it(way: str) -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        hub = await a_hub_that_was_used(servers)
        ledger = Ledger(hub)
        here = child_of(hub, 0)
        async with Cluster(hub) as cluster:
            servers[AWAY].connected = False
            node = await cluster.start("a")
            await cluster.start("b")
            await cluster.serves({"a": 4, "b": 4})
            await ledger.call("app", here)
            if way == "kill":
                await cluster.kill("a")
            else:
                if way == "told":
                    await interfere.drain_where_joined(node)
                    async with asyncio.timeout(10):
                        await node.drained()
                assert await cluster.drain("a", timeout=10.0)
            assert node.ended
            servers[AWAY].connected = True
            await open_shards(cluster, 16)
            await ledger.call("app", here)
            await ledger.check()
            members = servers[AWAY].sync_client(1.0).hkeys(hub.groups.contexts[AWAY].keys.nodes)
            assert members == [b"b"]

    asyncio.run(scenario())


def test_without_any_primary_it_does_not_start() -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        hub = await a_hub_that_was_used(servers)
        async with Cluster(hub) as cluster:
            for server in servers:
                server.connected = False
            with pytest.raises(RedisUnavailable):
                await cluster.start("a")

    asyncio.run(scenario())


def test_the_groups_of_a_new_hub_are_opened_while_all_primaries_answer() -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        async with Cluster(a_hub(servers, groups=2, lease=LEASE, lease_margin=0.1)) as cluster:
            servers[AWAY].connected = False
            with pytest.raises(RedisUnavailable):
                await cluster.start("a")
            assert not servers[0].sync_client(1.0).keys("*:nodes")

    asyncio.run(scenario())


def test_a_group_that_refuses_when_it_is_back_is_told_of_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        hub = await a_hub_that_was_used(servers)
        async with Cluster(hub) as cluster:
            await a_dead_node(hub, "a", group=AWAY, lease=60.0)
            servers[AWAY].connected = False
            node = await cluster.start("a")
            await open_shards(cluster, 8)
            servers[AWAY].connected = True
            await eventually(lambda: "has the name 'a' already" in node.pulse.why_unready(), 10, "its name is taken")
            servers[AWAY].sync_client(1.0).delete(hub.groups.contexts[AWAY].keys.leases)
            await open_shards(cluster, 16)
            await eventually(lambda: node.ready, 10, "it is ready")
            refused = [record for record in caplog.records if "cannot join group 1" in record.getMessage()]
            assert len(refused) == 1 and refused[0].levelname == "ERROR"

    asyncio.run(scenario())
