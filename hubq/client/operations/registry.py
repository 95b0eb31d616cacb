"""Where a child is, and whether somebody serves it: every query of one child or of the whole hub, once, as generators over steps."""

from __future__ import annotations

from typing import Any

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import added, at_least_one, of_all, of_child
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.statuses import copies_of, dormant_status, places_of, statuses_of, wish_of
from hubq.client.results import ChildStatus, Place
from hubq.core.hashing import checked_child_id
from hubq.core.pauses import Pauses
from hubq.errors import UnknownChild
from hubq.store.command import Command, plain
from hubq.store.dormant import count_dormant, is_dormant, read_dormant_specs
from hubq.store.membership import living, read_members
from hubq.store.owners import NOBODY, Owner, Owners
from hubq.store.pauses import read_pauses
from hubq.store.progress import told_by
from hubq.store.registry import read_some_specs
from hubq.store.replica_log import read_followers


@of_child
def child_lookup(hub: HubContext, child_id: str) -> Operation[ChildStatus]:
    """All there is to know of one child."""
    shard = hub.shard_of(checked_child_id(child_id))
    specs, paused, *places, nodes, leases, time = yield Fetch(
        [
            read_some_specs(hub.keys, shard, [child_id]),
            read_pauses(hub.keys),
            *places_of(hub.keys, shard, [child_id]),
            *read_members(hub.keys),
        ]
    )
    if child_id not in specs:
        # (A web app may ask whether it is there; the spec stands beside its state, which only workers may read.)
        if not (yield Fetch([is_dormant(hub.keys, shard, child_id)]))[0]:
            raise unknown(hub, child_id)
        (dormant,) = yield Fetch([read_dormant_specs(hub.keys, shard, [child_id])])
        if child_id not in dormant:
            raise unknown(hub, child_id)
        return dormant_status(shard, child_id, dormant[child_id])
    (status,) = statuses_of(shard, specs, living(nodes, leases, time), Pauses(paused.values()), *places)
    return status


def unknown(hub: HubContext, child_id: str) -> UnknownChild:
    """The error for a child that does not exist."""
    return UnknownChild(f"no child {child_id!r} in hub {hub.keys.hub_id!r}: start it first, or see `hubq ps`")


@of_child
def where(hub: HubContext, child_id: str) -> Operation[Place]:
    """Where a child is."""
    shard = hub.shard_of(checked_child_id(child_id))
    ask: list[Command[Any]] = [
        read_some_specs(hub.keys, shard, [child_id]),
        plain("HGET", hub.keys.pins, child_id, read=lambda found: found),
        plain("HGET", hub.keys.progress(shard), child_id, read=lambda found: found),
        read_followers(hub.keys, shard),
        read_pauses(hub.keys),
        *read_members(hub.keys),
    ]
    owners, (specs, moved, progress, followers, paused, *members) = yield from hub.view.look(ask)
    if child_id not in specs:
        (dormant,) = yield Fetch([is_dormant(hub.keys, shard, child_id)])
        if not dormant:
            raise unknown(hub, child_id)
        return Place(child_id, shard, None, 0, 0, pinned=False, dormant=True)
    owner = owner_of(owners, shard, child_id)
    pinned = (shard, child_id) in owners.pins
    wish = wish_of(specs[child_id], moved)
    waits = not pinned and wish is not None and wish.waits and wish.node != owner.node
    lives = living(*members)
    node = None if lives.get(owner.node) != owner.incarnation or waits else owner.node
    pause = Pauses(paused.values()).of(child_id, specs[child_id].name)
    replicas = () if pinned else tuple(follower.node for follower in copies_of(owner, followers, lives))
    return Place(
        child_id,
        shard,
        node,
        owner.incarnation,
        owner.token,
        pinned,
        replicas,
        told_by(progress, specs[child_id].start_id),
        paused=str(pause or ""),
    )


def owner_of(owners: Owners, shard: int, child_id: str) -> Owner:
    """The owner of a child: its pin's, else its shard's."""
    return owners.pins.get((shard, child_id)) or owners.shards.get(shard, NOBODY)


@of_all(added)
def count_dormant_children(hub: HubContext) -> Operation[int]:
    """How many dormant children there are."""
    counts = yield Fetch([count_dormant(hub.keys, shard) for shard in hub.shards])
    return sum(counts)


@of_all(at_least_one)
def is_alive(hub: HubContext, node: str | None) -> Operation[bool]:
    """Whether a node is a member whose lease has not run out; without a name: whether any is."""
    lives = living(*(yield Fetch(read_members(hub.keys))))
    return bool(lives) if node is None else node in lives


@of_all(at_least_one)
def is_locked(hub: HubContext) -> Operation[bool]:
    """Whether starts and messages for some shard have to wait: it has no live owner just now."""
    owners, members = yield from hub.view.look(read_members(hub.keys))
    lives = living(*members)
    served = {shard for shard, owner in owners.shards.items() if lives.get(owner.node) == owner.incarnation}
    return len(served) < len(hub.shards)
