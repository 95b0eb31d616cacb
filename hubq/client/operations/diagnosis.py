"""Gathering the facts for :func:`hubq.core.diagnosis.diagnose`."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlsplit

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_all
from hubq.client.asking.reachable import away_here
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.dead_letters import count_by_kind
from hubq.client.operations.inspection import mailboxes, node_vitals
from hubq.client.operations.joined_facts import joined_facts
from hubq.client.operations.registry import count_dormant_children
from hubq.client.operations.troubles import busy_with, said_of
from hubq.core.facts import ClusterFacts, Facts, NodeFacts
from hubq.core.layout import tag_of
from hubq.core.pauses import Pauses
from hubq.core.readiness import NOT_SERVING
from hubq.errors import RedisRefused
from hubq.store.cluster_facts import read_cluster, read_full_coverage
from hubq.store.dead_letters import count_dead
from hubq.store.far import far_length
from hubq.store.mailbox import is_used_up, mailbox_exists
from hubq.store.membership import living, read_members
from hubq.store.moves import read_record
from hubq.store.owners import read_owners
from hubq.store.pauses import read_pauses
from hubq.store.quorum import read_partitioned
from hubq.store.registry import count_children, read_texts
from hubq.store.server_facts import is_known, is_misplaced, read_server_info, read_ttl, scan_keys
from hubq.store.slots import slot_of_keys

#: Keys looked at when searching for strays; a hub has some hundred, and one per client that is waiting.
MOST_KEYS = 100_000


@of_all(joined_facts)
def gather(hub: HubContext, address: str, open_to_all: bool | None = None) -> Operation[Facts]:
    """Everything ``hubq doctor`` looks at. Changes nothing. ``open_to_all``: whether Redis at this address lets in clients
    without a password (None: not known).
    """
    keys, shards = hub.keys, hub.shards
    owners, members, leases, now, partitioned = yield Fetch(
        [read_owners(keys), *read_members(keys), read_partitioned(keys)]
    )
    lives = living(members, leases, now)
    accounts = yield from node_vitals(hub)
    boxes = yield from mailboxes(hub, 1)
    counts = yield Fetch([count_children(keys, shard) for shard in shards])
    dormant = yield from count_dormant_children(hub)
    parked = yield Fetch([read_texts(keys.parked(shard)) for shard in shards])
    dead = yield Fetch([count_dead(keys, shard) for shard in shards])
    reasons, pauses = yield Fetch([read_texts(keys.stragglers), read_pauses(keys)])
    pinned = {child for _, child in owners.pins}
    nodes: dict[str, NodeFacts] = {}
    for name, info in members.items():
        account = accounts.get(name)
        left = (leases.get(name, now) - now) / 1000
        if account is None:
            nodes[name] = NodeFacts(info.status, left, info.version)
        else:
            nodes[name] = NodeFacts(
                info.status, left, info.version, account.python, account.clock, account.lag, account.settings,
                "" if account.unready == NOT_SERVING else account.unready,
                "" if account.blocked is None else said_of(account.blocked, now / 1000), account.failing,
                account.jobs_waiting, account.jobs_refused, account.trust or None,
            )  # fmt: skip
    alive = {
        shard: owner.node if lives.get(owner.node) == owner.incarnation else None
        for shard, owner in owners.shards.items()
    }
    # The settings of the workers: the user who asks may know the id of the hub only.
    settings = [account.settings for account in accounts.values() if account]
    leased = max((each["lease"] for each in settings if "lease" in each), default=hub.config.lease)
    most = min((each["max_backlog"] for each in settings if "max_backlog" in each), default=hub.config.max_backlog)
    server = yield from _server()
    if open_to_all is not None:
        server["password"] = "no" if open_to_all else "yes"
    try:
        lost = yield from _lost(hub, set(members))
    except RedisRefused:  # a worker's user, who may not see the names of all keys
        lost = _Lost([], [], "")
    return Facts(
        shards=hub.config.shards,
        lease=leased,
        nodes=nodes,
        owners=alive,
        children=sum(counts),
        dormant=dormant,
        waited={box.shard: box.oldest for box in boxes if box.oldest is not None},
        heads={box.shard: (box.heads[0].child_id, box.heads[0].method) for box in boxes if box.heads},
        busy={child: busy_with(busy) for each in accounts.values() if each for child, busy in each.busy.items()},
        backlog={child: count for box in boxes for child, count in box.children.items()},
        max_backlog=int(most),
        stragglers={child: reason for child, reason in reasons.items() if child in pinned},
        dead=sum(dead),
        letters=(yield from count_by_kind(hub)) if any(dead) else {},
        parked={child: reason for some in parked for child, reason in some.items()},
        strays=lost.strays,
        misplaced=lost.misplaced,
        moved=lost.moved,
        far=(yield from _waiting_for_others(hub)),
        used_up=(yield from _used_up(hub)),
        redis=server,
        host=urlsplit(address).hostname or "",
        partitioned=partitioned,
        cluster=(yield from _cluster(hub)) if "+cluster://" in address else None,
        pauses=[(str(pause), now / 1000 - pause.since) for pause in Pauses(pauses.values()).all()],
    )


def of_groups_away(hub: HubContext, facts: Facts) -> Facts:
    """The facts, with the groups that did not answer (:mod:`hubq.client.asking.reachable`)."""
    away = away_here()
    if not away:
        return facts
    unseen = [shard for group in away for shard in hub.groups[group].shards]
    return replace(facts, away={group: str(why) for group, why in away.items()}, unseen=unseen)


def _used_up(hub: HubContext) -> Operation[list[int]]:
    exist = yield Fetch([mailbox_exists(hub.keys, shard) for shard in hub.shards])
    shards = [shard for shard, exists in zip(hub.shards, exist, strict=True) if exists]
    try:
        used_up = (yield Fetch([is_used_up(hub.keys, shard) for shard in shards])) if shards else []
    except RedisRefused:
        return []  # a user whose rules are of an earlier version
    return [shard for shard, used in zip(shards, used_up, strict=True) if used]


def _server() -> Operation[dict[str, str]]:
    try:
        memory, persistence = yield Fetch([read_server_info("memory"), read_server_info("persistence")])
    except RedisRefused:
        return {}  # an ACL user without INFO: a fact that may not be read is not judged
    return {
        "used_memory": memory.get("used_memory", ""),
        "maxmemory": memory.get("maxmemory", ""),
        "maxmemory-policy": memory.get("maxmemory_policy", ""),
        "appendonly": {"0": "no", "1": "yes"}.get(persistence.get("aof_enabled", ""), ""),
    }


def _cluster(hub: HubContext) -> Operation[ClusterFacts | None]:
    found: ClusterFacts
    try:
        (found,) = yield Fetch([read_cluster((slot_of_keys(hub.keys),))])
    except RedisRefused:
        return None
    try:
        (full,) = yield Fetch([read_full_coverage()])
    except RedisRefused:
        return found  # CONFIG is in no role
    return replace(found, full_coverage=full)


class _Lost(NamedTuple):
    """Keys that never expire: those that belong to nothing, and those that are in the wrong place. ``moved``: how far a move is."""

    strays: list[str]
    misplaced: list[str]
    moved: str


def _lost(hub: HubContext, members: set[str]) -> Operation[_Lost]:
    keys, groups = hub.keys, hub.config.groups
    tags = {tag_of(keys.hub_id, group, groups) for group in range(groups)}
    unknown: list[str] = []
    misplaced: set[str] = set()
    cursor, seen = "0", 0
    while seen < MOST_KEYS:
        ((cursor, some),) = yield Fetch([scan_keys(keys, cursor)])
        seen += len(some)
        wrong = {key for key in some if is_misplaced(keys, key, hub.shards, tags)}
        misplaced |= wrong
        unknown += [
            key for key in some
            if key in wrong
            or (key.startswith(keys.prefix) and not is_known(keys, key, hub.config.shards, members.__contains__))
        ]  # fmt: skip
        if cursor == "0":
            break
    (record,) = yield Fetch([read_record(keys)])
    ttls = (yield Fetch([read_ttl(key) for key in unknown])) if unknown else []
    forever = [key for key, ttl in zip(unknown, ttls, strict=True) if ttl == -1]
    phase = record.phase if record is not None else ""
    # (What a move has kept it knows, and deletes if it is asked to.)
    kept = [] if phase else [key for key in forever if key in misplaced]
    return _Lost([key for key in forever if key not in misplaced], kept, phase)


def _waiting_for_others(hub: HubContext) -> Operation[dict[tuple[int, int], int]]:
    others = [group for group in range(hub.config.groups) if group != hub.group]
    places = [(shard, group) for shard in hub.shards for group in others]
    lengths = (yield Fetch([far_length(hub.keys, *place) for place in places])) if places else []
    return {place: length for place, length in zip(places, lengths, strict=True) if length}
