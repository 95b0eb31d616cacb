"""The nodes of a hub: how they stand, and telling one to leave."""

from __future__ import annotations

from typing import Any

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import at_least_one, of_all
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.joining import joined_nodes
from hubq.client.operations.troubles import blocked_by, blocked_for, busy_with
from hubq.client.results import NodeStatus
from hubq.errors import NotAlive, RedisRefused
from hubq.store.membership import drain_node, read_leases, read_nodes, redis_time_ms
from hubq.store.owners import read_owners
from hubq.store.vitals import Vitals, read_vitals


@of_all(joined_nodes)
def nodes(hub: HubContext) -> Operation[list[NodeStatus]]:
    """The members, with what they own, and what each says of itself."""
    infos, leases, owners, now = yield Fetch(
        [read_nodes(hub.keys), read_leases(hub.keys), read_owners(hub.keys), redis_time_ms()]
    )
    accounts = yield from _accounts(hub, list(infos))
    held: dict[tuple[str, int], list[int]] = {}
    for owner in owners.shards.values():
        held.setdefault((owner.node, owner.incarnation), [0, 0])[0] += 1
    for owner in owners.pins.values():
        held.setdefault((owner.node, owner.incarnation), [0, 0])[1] += 1
    found: list[NodeStatus] = []
    for (name, info), account in zip(infos.items(), accounts, strict=True):
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
                info.app_version,
                **_of_account(account, now / 1000),
            )
        )
    return found


def _accounts(hub: HubContext, names: list[str]) -> Operation[list[Vitals | None]]:
    try:
        return list((yield Fetch([read_vitals(hub.keys, name) for name in names]))) if names else []
    except RedisRefused:
        return [None] * len(names)  # an ACL user who may not read them: the nodes are listed all the same


def _of_account(account: Vitals | None, now: float) -> dict[str, Any]:
    if account is None:
        return {}
    blocked = account.blocked
    return {
        "unready": account.unready,
        "blocked_for": 0.0 if blocked is None else blocked_for(blocked, now),
        "blocked_by": "" if blocked is None else blocked_by(blocked),
        "parked": account.parked,
        "backlog": sum(account.mailboxes.values()),
        "failing": account.failing,
        "busy": {child: busy_with(busy) for child, busy in account.busy.items()},
    }


def drain(hub: HubContext, node: str) -> Operation[None]:
    """Tell a node to hand everything over and leave."""
    if not (yield from _drain(hub, node)):
        raise NotAlive(f"no node {node!r} in hub {hub.keys.hub_id!r}: see `hubq nodes`")


@of_all(at_least_one)
def _drain(hub: HubContext, node: str) -> Operation[bool]:
    (word,) = yield Fetch([drain_node(hub.keys, node, None, hub.config.events_kept)])
    return bool(word != "gone")
