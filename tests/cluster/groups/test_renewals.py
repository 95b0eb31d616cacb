"""How often a node renews its leases: in a hub with many groups, each less often."""

from __future__ import annotations

import asyncio

import pytest

from hubq import Hub
from hubq.node.membership.lease_thread import Driver, LeaseThread
from hubq.node.membership.rounds import Rounds
from hubq.node.node import Node
from hubq.store.connection import Server
from hubq.strategies.synchronization import Polling
from hubq.testing import FakeServer

pytestmark = pytest.mark.timeout(60)


async def apart(hub: Hub) -> set[float]:
    """What a node of this hub leaves between two renewals in one group, seconds."""
    found: list[float] = []

    def drive(rounds: Rounds, server: Server, node_name: str) -> Driver:
        found.append(rounds.apart)
        return LeaseThread(rounds, server, node_name)

    node = Node(hub, "a", drive=drive)
    await node.start()
    await node.kill()
    await hub.aio.close()
    assert len(found) == hub.config.groups
    return set(found)


@pytest.mark.parametrize(("groups", "seconds"), [(1, 0.25), (2, 0.5), (8, 1.0)])
def test_many_leases_are_renewed_less_often_each(groups: int, seconds: float) -> None:
    hub = Hub("chat", redis=FakeServer(), groups=groups, shards=8)
    assert asyncio.run(apart(hub)) == {seconds}


def test_where_renewals_alone_tell_of_members_they_come_at_every_heartbeat() -> None:
    hub = Hub("chat", redis=FakeServer(), groups=8, shards=8, synchronization=Polling())
    assert asyncio.run(apart(hub)) == {hub.config.heartbeat}
