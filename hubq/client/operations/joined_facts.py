"""What the groups of a hub say to its doctor, joined to what the hub says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from hubq.client.operations.joining import joined_counts, worst
from hubq.core.facts import ClusterFacts, Facts, NodeFacts

N = TypeVar("N")


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
