"""What a Redis Cluster says of itself."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hubq.core.facts import ClusterFacts
from hubq.store.command import Command, plain, text

#: The slots of a Redis Cluster.
SLOTS = 16_384


def read_cluster(slots: tuple[int, ...]) -> Command[ClusterFacts]:
    """The nodes of the cluster, as the primary sees them that is asked. ``slots``: those of the hub."""
    return plain("CLUSTER", "NODES", read=lambda answer: cluster_of(text(answer), slots))


def read_full_coverage() -> Command[bool]:
    """Whether all slots must be served for any to be."""
    return plain("CONFIG", "GET", "cluster-require-full-coverage", read=_is_yes)


def _is_yes(answer: Any) -> bool:
    found = answer.values() if isinstance(answer, dict) else answer[1::2]
    return "yes" in [text(value) for value in found]


def cluster_of(nodes: str, slots: tuple[int, ...]) -> ClusterFacts:
    """The facts in an answer to CLUSTER NODES (https://redis.io/docs/latest/commands/cluster-nodes/).

    >>> found = cluster_of('''a 10.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-8191 9000
    ... b 10.0.0.2:7000@17000,box master,fail - 0 0 2 connected 8192-8999 9001-16383 [77->-a]
    ... c 10.0.0.3:7000@17000 slave a 0 0 1 connected''', (9001,))
    >>> found.primaries, found.down, found.replicas, found.nobody, found.homes
    ({'10.0.0.1:7000': 8193, '10.0.0.2:7000': 8191}, ('10.0.0.2:7000',), {'10.0.0.1:7000': 1}, 0, ('10.0.0.2:7000',))
    """
    lines = [line.split() for line in nodes.splitlines() if line.strip()]
    addresses = {line[0]: line[1].partition("@")[0] for line in lines}
    flags = {line[0]: set(line[2].split(",")) for line in lines}
    primaries: dict[str, int] = {}
    down: list[str] = []
    replicas: Counter[str] = Counter()
    homes: list[str] = []
    for node, _, _, of, *rest in lines:
        if "slave" in flags[node]:
            if of in addresses and not flags[node] & {"fail", "noaddr"}:
                replicas[addresses[of]] += 1
            continue
        served = [_range(part) for part in rest[4:] if not part.startswith("[")]
        count = sum(last - first + 1 for first, last in served)
        if "fail" in flags[node]:
            if not count:
                continue  # one whose place another has taken
            down.append(addresses[node])
        primaries[addresses[node]] = count
        homes += [addresses[node] for slot in slots if any(first <= slot <= last for first, last in served)]
    nobody = SLOTS - sum(primaries.values())
    return ClusterFacts(primaries, tuple(down), dict(replicas), nobody, tuple(homes))


def _range(part: str) -> tuple[int, int]:
    first, _, last = part.partition("-")
    return int(first), int(last or first)
