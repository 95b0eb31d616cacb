"""Who may publish an assignment: the member that is up longest, with a newer epoch; nobody else, however late."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hubq import Hub
from hubq.core.balance import Decision, Load
from hubq.store.assignment import (
    LoadReport,
    publish_assignment,
    read_assignment,
    read_load,
    write_load,
)
from hubq.store.command import pairs, plain
from hubq.store.connection import SyncRedis
from hubq.store.keys import Keys
from hubq.store.membership import drain_node, evict_node, join_node, read_nodes


class Members:
    """Nodes that join, and publish."""

    def __init__(self, keys: Keys, redis: SyncRedis) -> None:
        self.keys, self.redis = keys, redis
        self.incarnations: dict[str, int] = {}

    def join(self, node: str, lease_ms: int = 60_000) -> None:
        answer = self.redis.run(join_node(self.keys, node, {"host": "h", "pid": 1}, lease_ms, 1000, 4))
        self.incarnations[node] = answer.incarnation

    def publish(self, node: str, epoch: int, to: str = "a", moves: int = 1) -> str:
        decision = Decision(dict.fromkeys(range(4), to), {0: 5.0}, moves)
        command = publish_assignment(
            self.keys, node, self.incarnations[node], epoch, decision, dict(self.incarnations), 1000
        )
        return self.redis.run(command)

    @property
    def in_force(self) -> tuple[int, str, dict[int, str]]:
        found = self.redis.run(read_assignment(self.keys))
        return found.epoch, found.leader, found.valid(self.redis.run(read_nodes(self.keys)))

    def events(self) -> list[dict[str, bytes]]:
        entries = self.redis.run(plain("XRANGE", self.keys.events, "-", "+", read=list))
        return [event for _, fields in entries if (event := pairs(fields))["type"] == b"shards_assigned"]


@pytest.fixture
def members(make_hub: Any, server: Any) -> Iterator[Members]:
    redis = SyncRedis(server)
    found = Members(make_hub(shards=4).keys, redis)
    found.join("a")
    found.join("b")
    yield found
    redis.close()


def test_the_longest_uptime_publishes(members: Members) -> None:
    assert members.in_force == (0, "", {})
    assert members.publish("b", 1) == "not_leader"
    assert members.in_force == (0, "", {})
    assert members.publish("a", 1) == "ok"
    assert members.in_force == (1, "a", dict.fromkeys(range(4), "a"))
    assert members.publish("a", 1) == "ok", "the same once more: its answer was lost"
    assert len(members.events()) == 1
    assert members.publish("a", 2, to="b", moves=0) == "ok"
    assert len(members.events()) == 1, "nothing moves: nobody is woken"
    assert members.redis.run(plain("PTTL", members.keys.assignment, read=int)) > 0


def test_an_assignment_of_a_deposed_leader_is_refused(members: Members) -> None:
    assert members.publish("a", 1) == "ok"
    members.redis.run(plain("ZADD", members.keys.leases, 1, "a", read=int))  # it is frozen; its lease runs out
    assert members.publish("a", 2, to="b") == "not_leader"
    assert members.redis.run(evict_node(members.keys, "a", "b", 1000)) == "evicted"
    assert members.publish("a", 2, to="b") == "not_leader"
    assert members.publish("b", 2, to="b") == "ok"
    members.incarnations["old"] = members.incarnations["a"]
    members.join("a")  # it is back, and the youngest now
    assert members.publish("a", 3) == "not_leader"
    decision = Decision(dict.fromkeys(range(4), "a"), {}, 4)
    late = publish_assignment(members.keys, "a", members.incarnations["old"], 9, decision, {}, 1000)
    assert members.redis.run(late) == "not_leader"
    assert members.in_force == (2, "b", dict.fromkeys(range(4), "b"))


def test_a_glance_names_the_leader_while_it_lives(members: Members, server: Any) -> None:
    hub = Hub(members.keys.hub_id, redis=server, shards=4)
    assert hub.inspect.glance().leader == ""
    assert members.publish("a", 1) == "ok"
    assert hub.inspect.glance().leader == "a"
    members.redis.run(plain("ZADD", members.keys.leases, 1, "a", read=int))
    assert hub.inspect.glance().leader == "", "its lease is over"
    members.redis.run(evict_node(members.keys, "a", "b", 1000))
    members.join("a")
    assert hub.inspect.glance().leader == "", "another life of the same name"
    assert members.publish("b", 2) == "ok"
    assert hub.inspect.glance().leader == "b"
    hub.close()


def test_a_leader_that_drains_is_deposed(members: Members) -> None:
    members.redis.run(drain_node(members.keys, "a", None, 1000))
    assert members.publish("a", 1) == "not_leader"
    assert members.publish("b", 1) == "ok"


def test_only_a_newer_epoch_counts(members: Members) -> None:
    assert members.publish("a", 5) == "ok"
    assert members.publish("a", 4, to="b") == "old"
    redis, key = members.redis, members.keys.assignment
    redis.run(plain("HSET", key, "leader", "x", read=int))  # somebody else's, of the same epoch
    assert members.publish("a", 5, to="b") == "old"
    assert members.in_force[2] == dict.fromkeys(range(4), "a")


def test_entries_of_nodes_that_are_gone_or_new_are_not_in_force(members: Members) -> None:
    assert members.publish("a", 1, to="b") == "ok"
    members.redis.run(plain("ZADD", members.keys.leases, 1, "b", read=int))
    members.redis.run(evict_node(members.keys, "b", "a", 1000))
    assert members.in_force[2] == {}
    members.join("b")
    assert members.in_force[2] == {}, "the same name, but not the node that was meant"


def test_loads_are_read_back_and_expire(members: Members) -> None:
    report = LoadReport(7, {3: Load(1.5, 0.25, 4, 5, 600)}, Load(messages=2.0))
    members.redis.run(write_load(members.keys, "a", report, kept=30.0))
    assert members.redis.run(read_load(members.keys, "a")) == report
    assert members.redis.run(read_load(members.keys, "b")) is None
    assert 0 < members.redis.run(plain("PTTL", members.keys.load("a"), read=int)) <= 30_000
