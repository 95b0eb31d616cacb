"""Every finding of ``hubq doctor`` is found when it is there, and only then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hubq.core.diagnosis import diagnose
from hubq.core.facts import ClusterFacts, Facts, NodeFacts

NODE = NodeFacts("up", 4.8, "1.0", "3.11.7", 0.01, 0.002, {"lease": 5.0})
WELL = Facts(
    shards=2,
    lease=5.0,
    nodes={"a": NODE, "b": NODE},
    owners={0: "a", 1: "b"},
    children=7,
    waited={0: 0.2},
    backlog={"room-1": 3},
    redis={
        "maxmemory-policy": "noeviction", "maxmemory": "1000", "used_memory": "100", "appendonly": "yes", "save": "",
        "password": "yes",
    },
)  # fmt: skip


def topics(**changes: object) -> list[str]:
    return [finding.topic for finding in diagnose(replace(WELL, **changes))]


def node(**changes: object) -> dict[str, NodeFacts]:
    return {"a": replace(NODE, **changes), "b": NODE}


def redis(**changes: str) -> dict[str, str]:
    return {
        **WELL.redis,
        **{name.replace("_", "-") if name == "maxmemory_policy" else name: v for name, v in changes.items()},
    }


def test_a_node_whose_lease_is_over_is_no_worker() -> None:
    over = {name: replace(NODE, lease_left=-7.0) for name in "ab"}
    facts = replace(WELL, nodes=over, owners={0: None, 1: None})
    (finding,) = diagnose(facts)
    assert finding.topic == "no worker"
    assert finding.seen == "no worker serves: each lease is over: a (7.0 s ago), b (7.0 s ago); the hub has 7 children"
    assert finding.do.startswith("look at their processes and logs")
    assert topics(nodes={"a": over["a"], "b": replace(NODE, status="draining")})[0] == "all draining"


def test_a_hub_that_is_well_has_no_findings() -> None:
    assert diagnose(WELL) == []
    assert diagnose(Facts(shards=64, lease=5.0)) == []  # never used: nothing is wrong


@pytest.mark.parametrize(
    ("changes", "topic"),
    [
        ({"used_up": [1]}, "ids used up"),
        ({"used_up": [0, 1]}, "ids used up"),
        ({"nodes": {}}, "no worker"),
        ({"nodes": {"a": replace(NODE, status="draining")}}, "all draining"),
        ({"nodes": node(lease_left=-0.5)}, "lease over"),
        ({"nodes": node(lease_left=1.5)}, "lease about to end"),
        ({"nodes": node(lag=1.5)}, "blocked loop"),
        ({"nodes": node(blocked="blocked for 14 s by room-7.post")}, "blocked loop"),
        ({"nodes": node(unready="2 children cannot start on this worker: x, y: no module")}, "worker not ready"),
        ({"nodes": node(failing=3.2)}, "handlers raise"),
        ({"nodes": node(jobs_waiting=2, jobs_refused="NOPERM")}, "jobs wait"),
        ({"owners": {0: "a", 1: None}}, "shards without an owner"),
        ({"waited": {1: 31.0}}, "messages wait long"),
        ({"pauses": [("class Room is paused (a deploy)", 7200.0)]}, "paused for long"),
        ({"backlog": {"room-1": 5000}}, "mailbox filling"),
        ({"parked": {"room-1": "no module"}}, "parked child"),
        ({"stragglers": {"room-1": "still busy"}}, "straggler"),
        ({"dead": 1}, "dead letters"),
        ({"dead": 50, "letters": {("unknown-method", "Room"): 50}}, "dead letters"),
        ({"nodes": node(version="0.9")}, "different hubq versions"),
        ({"nodes": node(python="3.12.1")}, "different Python versions"),
        ({"nodes": node(settings={"lease": 6.0})}, "different settings: lease"),
        ({"nodes": node(clock=-3.0)}, "clock"),
        ({"redis": redis(maxmemory_policy="allkeys-lru")}, "Redis may evict"),
        ({"redis": redis(appendonly="no")}, "Redis may forget"),
        ({"redis": redis(used_memory="900")}, "Redis is nearly full"),
        ({"redis": redis(password="no"), "host": "8.8.8.8"}, "Redis without a password"),
        ({"strays": ["hubq:{chat}:x"]}, "stray keys"),
        ({"misplaced": ["hubq:{chat}:shard:1:msk"]}, "keys of another group"),
        ({"far": {(3, 1): 100, (4, 1): 99}}, "messages to another group wait"),
        ({"moved": "opened"}, "former keys are kept"),
    ],
)
def test_what_is_wrong_is_found(changes: dict[str, object], topic: str) -> None:
    assert topics(**changes) == [topic]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "10.1.2.3", "redis", "redis.internal"])
def test_a_private_redis_may_have_no_password(host: str) -> None:
    assert topics(redis=redis(password="no"), host=host) == []


def test_what_may_not_be_read_is_not_judged() -> None:
    assert topics(redis={}, nodes={"a": NodeFacts("up", 4.8, "1.0")}, owners={0: "a", 1: "a"}) == []


def test_many_of_a_kind_are_counted_not_listed() -> None:
    parked = {f"room-{n}": "no module" for n in range(100)}
    (finding,) = diagnose(replace(WELL, parked=parked))
    assert finding.seen == "100 children (room-0, room-1, room-2 and 97 more) cannot run: no module"
    causes = {f"room-{n}": f"cause {n % 5}" for n in range(100)}
    findings = diagnose(replace(WELL, stragglers=causes))
    assert len(findings) == 4 and findings[-1].seen == "40 children more for other causes"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({}, "(on b), room-1.post, has waited 44 s"),
        ({"busy": {"room-1": "busy with long for 41 s"}}, "has waited 44 s: room-1 is busy with long for 41 s"),
        ({"parked": {"room-1": "no module"}}, "has waited 44 s: it is parked"),
    ],
)
def test_what_waits_long_is_named_and_what_holds_it_up(changes: dict[str, object], why: str) -> None:
    facts = replace(WELL, waited={1: 44.0}, heads={1: ("room-1", "post")}, **changes)
    assert diagnose(facts)[0].seen.endswith(why)


def test_every_finding_says_what_to_do() -> None:
    everything = replace(
        WELL, nodes=node(lease_left=-1.0, version="2", clock=9.0), owners={}, waited={0: 99.0}, parked={"x": "y"}, dead=3,
        redis=redis(maxmemory_policy="volatile-lru", appendonly="no", save=""),
    )  # fmt: skip
    for finding in diagnose(everything):
        assert finding.seen and finding.do, finding


def test_dead_letters_are_told_by_why_and_class() -> None:
    letters = {("raised", "Room"): 2, ("unknown-method", "Room"): 50, ("from-the-future", ""): 1}
    found = diagnose(replace(WELL, dead=60, letters=letters))
    assert [finding.seen for finding in found] == [
        "50 messages of Room are for a method that the class does not have",
        "2 messages of Room ended with an error of the handler",
        "1 message failed (from-the-future)",
        "there are 60 in all; counted by class are the last ones of each shard",
    ]
    assert "hubq dead replay (or drop) HUB --why unknown-method --class Room" in found[0].do


THREE = ClusterFacts(
    {"c1:7000": 5461, "c2:7000": 5462, "c3:7000": 5461},
    replicas={"c1:7000": 1, "c2:7000": 1, "c3:7000": 2},
    homes=("c2:7000",),
    full_coverage=False,
)


def of_cluster(**changes: object) -> list[str]:
    return [f"{each.topic}: {each.seen}" for each in diagnose(replace(WELL, cluster=replace(THREE, **changes)))]


def test_a_cluster_that_is_well_has_no_findings() -> None:
    assert of_cluster() == of_cluster(full_coverage=None) == []


def test_what_is_wrong_with_a_cluster_is_said() -> None:
    assert of_cluster(down=("c2:7000",)) == [
        "primary away: the other nodes call the primary c2:7000 down; it has 5462 slots, the hub's among them"
    ]
    assert of_cluster(down=("c1:7000",)) == [
        "primary away: the other nodes call the primary c1:7000 down; it has 5461 slots"
    ]
    assert of_cluster(nobody=2) == ["slots without a primary: nobody has 2 slots of the cluster"]
    assert of_cluster(full_coverage=True)[0].startswith("one primary stops all: cluster-require-full-coverage is yes")
    assert of_cluster(replicas={"c1:7000": 1}) == [
        "primaries without a replica: c2:7000, c3:7000: if one of their machines is lost, so is what lives there"
    ]
    assert of_cluster(primaries={"c1:7000": 16_384, "c2:7000": 0}, replicas={"c1:7000": 1, "c2:7000": 1}) == [
        "slots unevenly spread: c1:7000 has 16,384, c2:7000 has 0; an even part is 8,192"
    ]
