"""``hubq doctor`` on a Redis Cluster: what is wrong with the cluster is said, and nothing of one that is well."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hubq import Hub
from hubq.core.facts import Finding
from hubq.store.embedded_cluster import EmbeddedCluster
from hubq.store.keys import Keys
from hubq.store.permissions import acl_rules

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

OURS = {
    "primary away",
    "slots without a primary",
    "one primary stops all",
    "primaries without a replica",
    "slots unevenly spread",
}


def found(hub: Hub) -> dict[str, Finding]:
    return {each.topic: each for each in hub.inspect.diagnosis() if each.topic in OURS}


def soon(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_cluster_that_is_well_and_one_that_is_not(with_replicas: EmbeddedCluster) -> None:
    cluster = with_replicas
    hub = Hub("chat", redis=cluster.url, shards=8)
    try:
        assert found(hub) == {}
        home = cluster.owner_of("chat")
        for port in cluster.ports:
            cluster.ask(port, "CONFIG SET", "cluster-require-full-coverage", "yes")
        assert "is yes" in found(hub)["one primary stops all"].seen
        for port in cluster.ports:
            cluster.ask(port, "CONFIG SET", "cluster-require-full-coverage", "no")

        other = next(port for port in cluster.primaries if port != home)
        replica = cluster.replica_of(other)
        assert replica is not None
        cluster.kill(replica)
        soon(lambda: f"127.0.0.1:{other}: if its machine is lost" in str(found(hub).get("primaries without a replica")))
        cluster.kill(other)
        soon(lambda: "primary away" in found(hub))
        away = found(hub)["primary away"]
        assert f"127.0.0.1:{other} down; it has 546" in away.seen and "the hub's" not in away.seen
    finally:
        hub.close()


def test_slots_that_lie_unevenly_and_slots_that_are_nobodys(with_replicas: EmbeddedCluster) -> None:
    cluster = with_replicas
    hub = Hub("chat", redis=cluster.url, shards=8)
    try:
        home = cluster.owner_of("chat")
        other = next(port for port in cluster.primaries if port != home)
        mine = [slot for slot in range(16_384) if cluster_owner(cluster, slot) == other]
        for port in cluster.primaries:
            cluster.ask(port, "CLUSTER DELSLOTS", *mine[:3_000])
        soon(lambda: "nobody has 3000 slots" in str(found(hub).get("slots without a primary")))
        assert f"127.0.0.1:{other} has 2,461" in found(hub)["slots unevenly spread"].seen
    finally:
        hub.close()


def cluster_owner(cluster: EmbeddedCluster, slot: int) -> int:
    first = next(n for n, port in enumerate(cluster.primaries) if slot < 16_384 * (n + 1) // len(cluster.primaries))
    return cluster.primaries[first]


def test_an_inspector_sees_it_but_the_setting(three: EmbeddedCluster) -> None:
    version = three.ask(three.ports[0], "INFO server").split("redis_version:")[1]
    rules = acl_rules(Keys("seen"), "inspector", read_only_keys=version[0] != "6")
    for port in three.ports:
        three.ask(port, "ACL SETUSER", "seer", *rules, "on", ">secret")
    Hub("seen", redis=three.url, shards=8).nodes()
    hub = Hub("seen", redis=three.url.replace("//", "//seer:secret@"), shards=8)
    try:
        assert set(found(hub)) == {"primaries without a replica"}
    finally:
        hub.close()
