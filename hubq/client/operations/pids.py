"""Pids of children: the node that handles messages for each, and the nodes of its copies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import by_group, in_groups, united
from hubq.client.asking.steps import Operation
from hubq.client.operations.listing import Query, children
from hubq.client.operations.registry import owner_of
from hubq.client.operations.statuses import copies_of
from hubq.core.hashing import checked_child_id
from hubq.core.pid import Pid
from hubq.errors import ConfigError, NotAlive
from hubq.store.command import Command, plain
from hubq.store.dormant import is_dormant
from hubq.store.membership import living, read_members
from hubq.store.owners import NOBODY
from hubq.store.replica_log import read_followers


def get_pids(hub: HubContext, child_ids: Iterable[str]) -> Operation[dict[str, list[Pid]]]:
    """The pids of children that exist: the one that handles messages, then those of its copies on other nodes (with
    ``Replication``; they carry the same token). None for those that no live node owns now.
    """
    if hub.groups:
        names = list(child_ids)
        groups = by_group(hub, names, lambda child: child)
        found = yield from in_groups({group: get_pids(hub.groups[group], some) for group, some in groups.items()})
        together = united(list(found.values()))
        return {child: together[child] for child in names if child in together}
    by_shard: dict[int, list[str]] = {}
    for child in child_ids:
        by_shard.setdefault(hub.shard_of(checked_child_id(child)), []).append(child)
    there: list[Command[Any]] = [
        plain("HMGET", hub.keys.children(shard), *some, read=lambda answer: [spec is not None for spec in answer])
        for shard, some in by_shard.items()
    ]
    there += [read_followers(hub.keys, shard) for shard in by_shard]
    owners, (*answers, nodes, leases, time) = yield from hub.view.look([*there, *read_members(hub.keys)])
    lives = living(nodes, leases, time)
    pids: dict[str, list[Pid]] = {}
    follow = answers[len(by_shard) :]
    for (shard, some), exist, followers in zip(by_shard.items(), answers[: len(by_shard)], follow, strict=True):
        for child, exists in zip(some, exist, strict=True):
            if exists:
                owner = owner_of(owners, shard, child)
                pinned = (shard, child) in owners.pins  # no follower of the shard would take it over
                copying = [] if pinned else copies_of(owner, followers, lives)
                copies = [Pid(f.node, f.incarnation, owner.token) for f in copying]
                there_is = lives.get(owner.node) == owner.incarnation
                pids[child] = [Pid(owner.node, owner.incarnation, owner.token), *copies] if there_is else []
    return pids


def homes_of_dormant(hub: HubContext, child_ids: Iterable[str]) -> Operation[dict[str, list[Pid]]]:
    """Where those of these children would wake that are dormant: the owner of the shard of each."""
    places = [(hub.shard_of(child), child) for child in child_ids]
    if not places:
        return {}
    ask: list[Command[Any]] = [is_dormant(hub.keys, shard, child) for shard, child in places]
    owners, dormant = yield from hub.view.look(ask)
    homes: dict[str, list[Pid]] = {}
    for (shard, child), rests in zip(places, dormant, strict=True):
        owner = owners.shards.get(shard, NOBODY)
        if rests and owner.node != "-":
            homes[child] = [Pid(owner.node, owner.incarnation, owner.token)]
    return homes


def process_list(hub: HubContext, scope: str, local: frozenset[str]) -> Operation[dict[str, list[Pid]]]:
    """Every child that somebody owns, and its pids (``local``: those on the nodes of this process)."""
    if scope not in ("local", "global"):
        raise ConfigError(f"scope={scope!r}: give 'local' or 'global'")
    if scope == "local" and not local:
        raise NotAlive(f"no node of hub {hub.keys.hub_id!r} runs in this process: ask for process_list('global')")
    found = yield from children(hub, Query(), None)
    pids = {child.child_id: [p for p in child.pids if scope == "global" or p.node in local] for child in found}
    return {child: some for child, some in pids.items() if some}
