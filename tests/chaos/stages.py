"""Where a run takes place: one Redis, with a proxy between it and each worker, or a Redis Cluster."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hubq import Hub
from hubq.core.layout import slot, tag_of
from hubq.store.embedded import EmbeddedServer
from hubq.store.embedded_cluster import EmbeddedCluster

from .alibis import Alibis
from .blocks import Blocks
from .clients import Book
from .cluster_diary import ClusterDiary
from .cluster_faults import ClusterFaults
from .crew import Crew
from .one_redis import OneRedis
from .parts import Parts
from .proxy import Links, Network
from .theatre import Theatre

#: How many children of each class take part.
CHILDREN = {"Tally": 40, "Slow": 8, "Ticker": 6, "Lazy": 8, "Threaded": 6, "Blocker": 4}
LEASE, HEARTBEAT = 2.0, 0.2
#: How long after a fault the lease that it had cost may be found to be over, seconds: a lease, and time to notice.
NOTICED = LEASE + HEARTBEAT + 1.0
#: The most shards of a hub.
SHARDS = 64

#: What a run has: its pieces, and where the workers' logs are.
Stage = Iterator[tuple[Theatre, Path]]


def child_ids() -> list[str]:
    """All children of a run."""
    return [f"{kind.lower()}-{n}" for kind, count in CHILDREN.items() for n in range(count)]


def _hub(hub_id: str, url: str, **settings: int) -> Hub:
    return Hub(hub_id, redis=url, lease=LEASE, lease_margin=0.5, heartbeat=HEARTBEAT, **settings)


def _blocks(hub: Hub, alibis: Alibis) -> Blocks:
    return Blocks(hub, Book(), [f"blocker-{n}" for n in range(CHILDREN["Blocker"])], alibis)


@contextlib.contextmanager
def one_redis(hub_id: str, *, steady: bool) -> Stage:
    """A Redis with AOF. ``steady``: the first worker is never ended."""
    with (
        EmbeddedServer(appendonly=True, appendfsync="always") as server,
        tempfile.TemporaryDirectory(prefix="hubq-chaos-") as name,
    ):
        network, alibis = Network(server.port), Alibis(NOTICED)
        hub = _hub(hub_id, server.url)
        crew = Crew(network, hub.config, hub_id, child_ids(), Path(name), alibis)
        parts = Parts(hub)
        try:
            yield Theatre(OneRedis(server, alibis), crew, hub, _blocks(hub, alibis), parts, steady), Path(name)
        finally:
            crew.end()
            network.close()
            hub.close()
            parts.close()


@contextlib.contextmanager
def a_cluster(hub_id: str, primaries: int, groups: int) -> Stage:
    """So many primaries, each with a replica, and a hub of so many groups. What is answered is on both (``wait_replicas``)."""
    with (
        EmbeddedCluster(primaries, replicas=1) as cluster,
        tempfile.TemporaryDirectory(prefix="hubq-chaos-") as name,
    ):
        alibis = Alibis(NOTICED)
        hub = _hub(hub_id, cluster.url, wait_replicas=1, groups=groups, shards=SHARDS // groups * groups)
        crew = Crew(Links(cluster.url), hub.config, hub_id, child_ids(), Path(name), alibis)
        parts = Parts(hub)
        slots = [slot(tag_of(hub_id, group, groups)) for group in range(groups)]
        diary = ClusterDiary(cluster, slots, Path(name, "cluster.log"))
        faults = ClusterFaults(cluster, slots, alibis, diary)
        try:
            yield Theatre(faults, crew, hub, _blocks(hub, alibis), parts, steady=False), Path(name)
        finally:
            faults.close()
            diary.close()
            crew.end()
            hub.close()
            parts.close()
