"""A hub at one glance: members, ownership, and what the nodes say of themselves. Two glances give rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import in_groups
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.happened import Event
from hubq.client.operations.inspection import last_events, node_vitals
from hubq.client.operations.joining import by_name, vitals_of, worst
from hubq.store.assignment import read_leader
from hubq.store.dormant import count_dormant
from hubq.store.membership import living, read_members
from hubq.store.owners import read_owners
from hubq.store.registry import count_children
from hubq.store.vitals import Vitals


@dataclass(frozen=True, slots=True)
class NodeGlance:
    """A node at one glance; ``vitals`` is its own account (None: it has written none lately)."""

    name: str
    status: str
    incarnation: int
    lease_left: float
    uptime: float
    vitals: Vitals | None
    app_version: str = ""


@dataclass(frozen=True, slots=True)
class Glance:
    """A hub at one glance. ``owners``: for each shard the live node that serves it, or None. ``at``: Redis TIME, seconds.
    ``children``: how many active ones there are, served or not; ``dormant``: how many others.
    ``leader``: the live node that balances the load; empty if none does.
    """

    at: float
    nodes: Sequence[NodeGlance]
    owners: Sequence[str | None]
    pins: Mapping[str, str]
    events: Sequence[Event]
    children: int = 0
    leader: str = ""
    dormant: int = 0


@dataclass(frozen=True, slots=True)
class NodeRates:
    """What a node did between two glances, per second; ``cpu`` is the share of one core."""

    messages: float = 0.0
    failed: float = 0.0
    commits: float = 0.0
    cpu: float = 0.0


def glance(hub: HubContext, events: int) -> Operation[Glance]:
    """Look once."""
    if not hub.groups:
        return (yield from _glance(hub, events))
    found = yield from in_groups({context.group: _glance(context, 0) for context in hub.groups}, question=True)
    _, latest = yield from last_events(hub, events, ())
    return _joined(list(found.values()), latest)


def _glance(hub: HubContext, events: int) -> Operation[Glance]:
    counts = [count(hub.keys, shard) for count in (count_children, count_dormant) for shard in hub.shards]
    shards = len(hub.shards)
    owners, leads, members, leases, now, *counted = yield Fetch(
        [read_owners(hub.keys), read_leader(hub.keys), *read_members(hub.keys), *counts]
    )
    accounts = yield from node_vitals(hub)
    _, latest = yield from last_events(hub, events, ())
    nodes = [
        NodeGlance(
            name, info.status, info.incarnation, (leases.get(name, now) - now) / 1000, (now - info.joined_at) / 1000,
            accounts.get(name), info.app_version,
        )
        for name, info in members.items()
    ]  # fmt: skip
    lives = living(members, leases, now)
    served: list[str | None] = [None] * hub.config.shards
    for shard, owner in owners.shards.items():
        if lives.get(owner.node) == owner.incarnation and shard < len(served):
            served[shard] = owner.node
    pins = {child: owner.node for (_, child), owner in owners.pins.items()}
    leader = leads[0] if leads is not None and lives.get(leads[0]) == leads[1] else ""
    return Glance(now / 1000, nodes, served, pins, latest, sum(counted[:shards]), leader, sum(counted[shards:]))


def _joined(answers: Sequence[Glance], events: Sequence[Event]) -> Glance:
    first = answers[0]
    nodes = [_node_glance(parts) for parts in by_name([a.nodes for a in answers], lambda node: node.name).values()]
    owners = [
        next((a.owners[shard] for a in answers if a.owners[shard] is not None), None)
        for shard in range(len(first.owners))
    ]
    return Glance(
        max(answer.at for answer in answers),
        nodes,
        owners,
        {child: node for answer in answers for child, node in answer.pins.items()},
        events,
        sum(answer.children for answer in answers),
        next((answer.leader for answer in answers if answer.leader), ""),
        sum(answer.dormant for answer in answers),
    )


def _node_glance(parts: Sequence[NodeGlance]) -> NodeGlance:
    return replace(
        parts[0],
        status=worst([part.status for part in parts]),
        lease_left=min(part.lease_left for part in parts),
        uptime=max(part.uptime for part in parts),
        vitals=vitals_of([part.vitals for part in parts if part.vitals is not None]),
    )


def rates(before: Glance | None, after: Glance) -> dict[str, NodeRates]:
    """What each node did between two glances; nothing for one that has not written an account in between."""
    found = {node.name: NodeRates() for node in after.nodes}
    if before is None:
        return found
    past = {(node.name, node.incarnation): node.vitals for node in before.nodes}
    for node in after.nodes:
        old, new = past.get((node.name, node.incarnation)), node.vitals
        if old is None or new is None or new.at <= old.at:
            continue
        seconds = new.at - old.at
        found[node.name] = NodeRates(
            (new.handled - old.handled) / seconds,
            (new.failed - old.failed) / seconds,
            (new.commits - old.commits) / seconds,
            (new.cpu - old.cpu) / seconds,
        )
    return found
