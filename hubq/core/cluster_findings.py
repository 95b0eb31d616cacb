"""What the diagnosis finds in a Redis Cluster."""

from __future__ import annotations

from collections.abc import Iterable

from hubq.core.facts import ClusterFacts, Facts, Finding
from hubq.core.wording import counted, names

#: A primary with more slots than this share of an even part, or fewer than its inverse, is a finding.
UNEVEN = 1.5


def of_the_cluster(facts: Facts) -> Iterable[Finding]:
    """The findings, the most pressing first; none if the hub is on no cluster."""
    cluster = facts.cluster
    if cluster is None:
        return
    for address in cluster.down:
        yield Finding(
            "primary away",
            f"the other nodes call the primary {address} down; it has {counted(cluster.primaries.get(address, 0), 'slot', 'slots')}"
            + (", the hub's among them" if address in cluster.homes else ""),
            "start it again, or promote a replica of it: CLUSTER FAILOVER TAKEOVER there. What lives in its slots waits meanwhile",
        )
    if cluster.nobody:
        yield Finding(
            "slots without a primary",
            f"nobody has {counted(cluster.nobody, 'slot', 'slots')} of the cluster",
            "redis-cli --cluster fix HOST:PORT",
        )
    if cluster.full_coverage:
        yield Finding(
            "one primary stops all",
            "cluster-require-full-coverage is yes: while any slot is served by nobody, every primary refuses everything",
            "CONFIG SET cluster-require-full-coverage no on each node, and set it in redis.conf",
        )
    alone = [address for address in cluster.primaries if not cluster.replicas.get(address)]
    if alone:
        yield Finding(
            "primaries without a replica",
            f"{names(alone)}: if {'its machine is' if len(alone) == 1 else 'one of their machines is'} lost, so is what lives there",
            "add one: redis-cli --cluster add-node NEW HOST:PORT --cluster-slave",
        )
    yield from _spread(cluster)


def _spread(cluster: ClusterFacts) -> Iterable[Finding]:
    even = sum(cluster.primaries.values()) / max(1, len(cluster.primaries))
    uneven = {at: slots for at, slots in cluster.primaries.items() if slots > even * UNEVEN or slots * UNEVEN < even}
    if uneven:
        said = ", ".join(f"{at} has {slots:,}" for at, slots in sorted(uneven.items(), key=lambda each: -each[1]))
        yield Finding(
            "slots unevenly spread",
            f"{said}; an even part is {even:,.0f}",
            "redis-cli --cluster rebalance HOST:PORT --cluster-use-empty-masters. A hub stands still while its slot moves",
        )
