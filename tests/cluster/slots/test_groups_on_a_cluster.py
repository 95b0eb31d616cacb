"""A hub of several groups on a Redis Cluster: its groups are on all primaries, and nothing is lost or done twice while slots move."""

from __future__ import annotations

import asyncio

import pytest

from hubq import ChildSpec, Hub
from hubq.core.layout import slot, tag_of
from hubq.store.embedded_cluster import EmbeddedCluster
from hubq.testing import Cluster, Ledger, LedgerChild
from tests.cluster.groups.test_effects_between_groups import RECEIVERS, SENDERS, Sender, all_is_there_once, begun

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

GROUPS = 6
CHILDREN = [f"child-{n}" for n in range(12)]


def test_slots_of_all_groups_move_under_load(three: EmbeddedCluster) -> None:
    name = "grouped"
    slots = [slot(tag_of(name, group, GROUPS)) for group in range(GROUPS)]
    assert len({three.owner(each) for each in slots}) == 3

    async def scenario() -> None:
        hub = Hub(name, redis=three.url, groups=GROUPS, shards=12)
        hub.child(Sender)
        hub.child(LedgerChild)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await cluster.settled(within=60)
            await begun(hub)
            await hub.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN])
            going = True

            async def calls(sender: str) -> None:
                while going:
                    for child in CHILDREN:
                        await ledger.call(sender, child)

            async def effects(child: str) -> None:
                while going:
                    await hub.aio.ref(child).call("say", timeout=20)

            loads = [asyncio.create_task(calls("app")), *(asyncio.create_task(effects(child)) for child in SENDERS)]
            for each in slots:
                other = next(port for port in three.primaries if port != three.owner(each))
                await asyncio.to_thread(three.move_slot, each, other)
            going = False
            await asyncio.gather(*loads)
            assert not ledger.failed
            await ledger.check()
            await all_is_there_once(hub)
            assert len(RECEIVERS) and len(await hub.aio.nodes()) == 2

    asyncio.run(scenario())
