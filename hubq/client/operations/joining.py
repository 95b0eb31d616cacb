"""What the groups of a hub say, joined to what the hub says: each node and the hub itself are in all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec

from hubq.client.results import NodeStatus
from hubq.core.facts import ClusterFacts, Facts, NodeFacts
from hubq.store.vitals import Vitals

N = TypeVar("N")


def by_name(answers: Sequence[Sequence[N]], name_of: Callable[[N], str]) -> dict[str, list[N]]:
    found: dict[str, list[N]] = {}
    for answer in answers:
        for node in answer:
            found.setdefault(name_of(node), []).append(node)
    return dict(sorted(found.items()))


def worst(statuses: Sequence[str]) -> str:
    """A node that drains in one group leaves all of them."""
    return next((status for status in statuses if status != "up"), "up")


def joined_nodes(answers: Sequence[list[NodeStatus]]) -> list[NodeStatus]:
    """Each node once: with the shards that it has in all groups, and the lease that ends first."""
    return [_node(parts) for parts in by_name(answers, lambda node: node.name).values()]


def _node(parts: Sequence[NodeStatus]) -> NodeStatus:
    return replace(
        parts[0],
        status=worst([part.status for part in parts]),
        shards=sum(part.shards for part in parts),
        pins=sum(part.pins for part in parts),
        lease=min(part.lease for part in parts),
        uptime=max(part.uptime for part in parts),
        unready=next((part.unready for part in parts if part.unready), ""),
        blocked_for=max(part.blocked_for for part in parts),
        blocked_by=next((part.blocked_by for part in parts if part.blocked_by), ""),
        parked=sum(part.parked for part in parts),
        backlog=sum(part.backlog for part in parts),
        busy={child: busy for part in parts for child, busy in part.busy.items()},
    )


def joined_vitals(answers: Sequence[dict[str, Vitals | None]]) -> dict[str, Vitals | None]:
    """Each node's account: what it has in all groups, and what it is as a process, which each of its accounts says."""
    found: dict[str, list[Vitals | None]] = {}
    for answer in answers:
        for name, vitals in answer.items():
            found.setdefault(name, []).append(vitals)
    return {name: vitals_of([each for each in parts if each is not None]) for name, parts in sorted(found.items())}


def vitals_of(parts: Sequence[Vitals]) -> Vitals | None:
    if not parts:
        return None
    return msgspec.structs.replace(
        parts[0],
        at=max(part.at for part in parts),
        ready=all(part.ready for part in parts),
        children=sum(part.children for part in parts),
        parked=sum(part.parked for part in parts),
        shards=sum(part.shards for part in parts),
        pins=sum(part.pins for part in parts),
        moving=[shard for part in parts for shard in part.moving],
        queued=sum(part.queued for part in parts),
        commits=sum(part.commits for part in parts),
        dead=sum(part.dead for part in parts),
        lease_left=min(part.lease_left for part in parts),
        mailboxes={shard: count for part in parts for shard, count in part.mailboxes.items()},
        busiest={child: rate for part in parts for child, rate in part.busiest.items()},
        unready=next((part.unready for part in parts if part.unready), ""),
        busy={child: busy for part in parts for child, busy in part.busy.items()},
        jobs_waiting=sum(part.jobs_waiting for part in parts),
        jobs_refused=next((part.jobs_refused for part in parts if part.jobs_refused), ""),
        blocked=next((part.blocked for part in parts if part.blocked), None),
        dormant=sum(part.dormant for part in parts),
    )


def joined_counts(answers: Sequence[dict[N, int]]) -> dict[N, int]:
    """How often each, in all groups.

    >>> joined_counts([{"a": 1}, {"a": 2, "b": 1}])
    {'a': 3, 'b': 1}
    """
    found: Counter[N] = Counter()
    for answer in answers:
        found.update(answer)
    return dict(found)


def _merged(parts: Sequence[Mapping[N, str]]) -> dict[N, str]:
    return {key: value for part in parts for key, value in part.items()}


def joined_facts(answers: Sequence[Facts]) -> Facts:
    """The facts of the hub. Those of Redis are those of the first group's."""
    names = {name: None for facts in answers for name in facts.nodes}
    moved = next((facts.moved for facts in answers if facts.moved), "")  # (the first group knows)
    lost = () if moved else [key for facts in answers for key in facts.misplaced]
    nodes = {name: _node_facts([facts.nodes[name] for facts in answers if name in facts.nodes]) for name in names}
    return replace(
        answers[0],
        nodes=nodes,
        cluster=joined_cluster([facts.cluster for facts in answers if facts.cluster is not None]),
        owners={shard: owner for facts in answers for shard, owner in facts.owners.items()},
        children=sum(facts.children for facts in answers),
        waited={shard: age for facts in answers for shard, age in facts.waited.items()},
        heads={shard: head for facts in answers for shard, head in facts.heads.items()},
        busy=_merged([facts.busy for facts in answers]),
        backlog={child: count for facts in answers for child, count in facts.backlog.items()},
        stragglers=_merged([facts.stragglers for facts in answers]),
        parked=_merged([facts.parked for facts in answers]),
        dead=sum(facts.dead for facts in answers),
        letters=joined_counts([dict(facts.letters) for facts in answers]),
        strays=[key for facts in answers for key in facts.strays],
        misplaced=list(dict.fromkeys(lost)),
        far={place: count for facts in answers for place, count in facts.far.items()},
        used_up=sorted(shard for facts in answers for shard in facts.used_up),
        moved=moved,
        partitioned=next((facts.partitioned for facts in answers if facts.partitioned), ""),
        dormant=sum(facts.dormant for facts in answers),
        pauses=list(dict(pause for facts in answers for pause in facts.pauses).items()),
    )


def joined_cluster(seen: Sequence[ClusterFacts]) -> ClusterFacts | None:
    """The cluster as the first group's primary sees it, with the homes of all groups."""
    return replace(seen[0], homes=[home for facts in seen for home in facts.homes]) if seen else None


def _node_facts(parts: Sequence[NodeFacts]) -> NodeFacts:
    return replace(
        parts[0],
        status=worst([part.status for part in parts]),
        lease_left=min(part.lease_left for part in parts),
        unready=next((part.unready for part in parts if part.unready), ""),
        blocked=next((part.blocked for part in parts if part.blocked), ""),
        jobs_waiting=sum(part.jobs_waiting for part in parts),
        jobs_refused=next((part.jobs_refused for part in parts if part.jobs_refused), ""),
    )
