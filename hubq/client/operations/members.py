"""The nodes of a hub: how they stand, and telling one to leave."""

from __future__ import annotations

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.results import NodeStatus
from hubq.errors import NotAlive
from hubq.store.membership import drain_node, read_leases, read_nodes, redis_time_ms
from hubq.store.owners import read_owners


def nodes(hub: HubContext) -> Operation[list[NodeStatus]]:
    """The members, with what they own."""
    infos, leases, owners, now = yield Fetch(
        [read_nodes(hub.keys), read_leases(hub.keys), read_owners(hub.keys), redis_time_ms()]
    )
    held: dict[tuple[str, int], list[int]] = {}
    for owner in owners.shards.values():
        held.setdefault((owner.node, owner.incarnation), [0, 0])[0] += 1
    for owner in owners.pins.values():
        held.setdefault((owner.node, owner.incarnation), [0, 0])[1] += 1
    found: list[NodeStatus] = []
    for name, info in infos.items():
        shards, pins = held.get((name, info.incarnation), [0, 0])
        lease, uptime = (leases.get(name, now) - now) / 1000, (now - info.joined_at) / 1000
        found.append(
            NodeStatus(
                name,
                info.status,
                info.incarnation,
                info.host,
                info.pid,
                info.version,
                shards,
                pins,
                lease,
                uptime,
                info.tags,
            )
        )
    return found


def drain(hub: HubContext, node: str) -> Operation[None]:
    """Tell a node to hand everything over and leave."""
    (word,) = yield Fetch([drain_node(hub.keys, node, None, hub.config.events_kept)])
    if word == "gone":
        raise NotAlive(f"no node {node!r} in hub {hub.keys.hub_id!r}: see `hubq nodes`")
