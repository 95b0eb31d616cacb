"""A node that starts while a primary of the cluster is away serves the groups of the others, and joins the rest when it is back."""

from __future__ import annotations

import asyncio

import pytest

from hubq.store.embedded_cluster import EmbeddedCluster
from hubq.testing import Cluster, LedgerChild, eventually
from tests.cluster.slots.test_groups_on_a_cluster import CHILDREN, GROUPS, Groups, hub_on

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]


def test_the_groups_of_a_frozen_primary_are_joined_when_it_goes_on(three: EmbeddedCluster) -> None:
    async def scenario() -> None:
        hub = hub_on(three, "joined-later")
        groups = Groups(hub, three)
        away = three.owner(groups.slots[0])
        there = [child for child in CHILDREN if hub.driver.context.group_of(child) not in groups.on(away)]
        assert groups.on(away) != set(range(GROUPS)) and there
        async with Cluster(hub) as cluster:
            await cluster.start("first")
            for child in CHILDREN:
                await hub.aio.start_child(child, LedgerChild)
            await cluster.drain("first")
            gone = groups.on(away)
            three.freeze(away)
            try:
                node = await cluster.start("a")
                await eventually(lambda: len(cluster.serving()) == 12 - 2 * len(gone), 30, "the others are served")
                for child in there:
                    assert await hub.aio.ref(child).call("entries", timeout=20) == {}
                assert all(f"group {group} is not joined" in node.pulse.why_unready() for group in gone)
            finally:
                three.thaw(away)
                await asyncio.to_thread(three.wait_until_up)
            await cluster.settled(within=40)
            await eventually(lambda: node.ready, 20, "it is ready")
            for child in CHILDREN:
                assert await hub.aio.ref(child).call("entries", timeout=20) == {}

    asyncio.run(scenario())
