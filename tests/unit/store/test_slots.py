"""Which primary has the slot of a hub, and which answers say that it is elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import AskError, ClusterDownError, MovedError, ResponseError, TryAgainError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from hubq import Hub
from hubq.errors import ConfigError
from hubq.store.answers import refused, unavailable
from hubq.store.connection import RedisServer
from hubq.store.slots import ClusterAddress, NoCluster, SlotMap, slot_of

CHAT = slot_of("chat")
#: What CLUSTER SLOTS says where c1 has the slot of the hub, and where c2 has it.
AT_C1 = [[0, 16383, [b"c1", 7001, b"id"], [b"c3", 7003, b"id"]]]
AT_C2 = [[0, 100, [b"c1", 7001, b"id"]], [101, 16383, [b"c2", 7002, b"id"]]]


class Told:
    """A slot map whose nodes answer as they are told; ``asked`` are those that were asked."""

    def __init__(self, beside: Told | None = None, /, **nodes: Any) -> None:
        self.nodes = nodes
        known = None if beside is None else beside.map.nodes
        self.map = SlotMap(ClusterAddress.read("redis+cluster://c1:7001,c2:7002"), CHAT, known)
        self.asked: list[str] = []

    def find(self) -> tuple[str, int]:
        steps = self.map.asking()
        try:
            node = next(steps)
            while True:
                self.asked.append(node[0])
                said = self.nodes[node[0]]
                node = steps.throw(said) if isinstance(said, Exception) else steps.send(said)
        except StopIteration as found:
            return found.value  # type: ignore[no-any-return]


def test_the_first_node_that_answers_says_who_has_the_slot() -> None:
    told = Told(c1=RedisConnectionError("gone"), c2=AT_C2)
    assert told.find() == ("c2", 7002)
    assert told.asked == ["c1", "c2"]


def test_who_has_answered_is_asked_first_the_next_time_and_nodes_that_were_heard_of_are_asked_too() -> None:
    told = Told(c1=RedisConnectionError("gone"), c2=AT_C1, c3=AT_C2)
    told.find()
    told.nodes["c2"] = RedisConnectionError("gone, too")
    told.asked.clear()
    assert told.find() == ("c2", 7002)
    assert told.asked == ["c2", "c3"]  # and not c1, which was silent


@pytest.mark.parametrize("silence", [RedisConnectionError("refused"), RedisTimeoutError("silent"), OSError("no route")])
def test_a_node_that_was_silent_is_asked_last_by_all_until_it_answers(silence: Exception) -> None:
    told = Told(c1=silence, c2=AT_C1, c3=AT_C1)
    other = Told(told, c1=AT_C1, c2=AT_C1, c3=AT_C1)
    told.find()
    other.find()
    assert (told.asked, other.asked) == (["c1", "c2"], ["c2"])
    other.nodes |= {"c2": silence, "c3": silence}
    other.find()
    assert other.asked == ["c2", "c2", "c3", "c1"]
    told.nodes["c1"] = AT_C1
    told.find()
    assert told.asked == ["c1", "c2", "c1"]


def test_a_node_that_refuses_was_not_silent() -> None:
    told = Told(c1=ResponseError("LOADING"), c2=AT_C1)
    told.find()
    assert told.map.nodes.in_order() == (("c2", 7002), ("c1", 7001), ("c3", 7003))


def test_all_hubs_of_one_server_share_what_is_known_of_its_nodes() -> None:
    server = RedisServer("redis+cluster://c1:7001,c2:7002")
    one, other = server.of_hub("one"), server.of_hub("other")
    assert one.slots is not None and other.slots is not None
    one.slots.nodes.silent(("c1", 7001))
    assert other.slots.nodes.in_order() == (("c2", 7002), ("c1", 7001))


def test_a_node_that_knows_no_primary_of_the_slot_is_not_the_last_one_asked() -> None:
    told = Told(c1=[[0, 5, [b"c1", 7001, b"id"]]], c2=AT_C1)
    assert told.find() == ("c1", 7001)


def test_nobody_knows() -> None:
    told = Told(c1=RedisConnectionError("gone"), c2=RedisConnectionError("gone, too"))
    with pytest.raises(RedisConnectionError, match=rf"who has slot {CHAT} \(c1:7001, c2:7002\): gone, too"):
        told.find()


def test_where_the_slot_went_is_believed_once() -> None:
    told = Told(c1=AT_C1)
    assert told.map.went([b"ok", MovedError(f"{CHAT} c9:7009")])
    assert (told.find(), told.asked) == (("c9", 7009), [])
    assert told.find() == ("c1", 7001)


def test_a_redis_that_is_no_cluster() -> None:
    told = Told(c1=ResponseError("This instance has cluster support disabled"))
    with pytest.raises(NoCluster) as found:
        told.find()
    said = str(unavailable(RedisServer("redis+cluster://c1:7001"), found.value))
    assert said.endswith("refuses (c1:7001 is no Redis Cluster): its URL begins with redis://")


def test_the_answers_of_commands_that_were_not_run() -> None:
    slots = Told().map
    script = ResponseError(
        "Script attempted to access a non local key in a cluster node script: f3a, on @user_script:1."
    )
    answers = [
        b"ok",
        TryAgainError("x"),
        AskError("1 c2:7002"),
        None,
        ClusterDownError("down"),
        script,
        ResponseError("no"),
    ]
    assert slots.away(answers) == [1, 2, 4, 5]
    assert not slots.went(answers)  # it is on its way only


@pytest.mark.parametrize("said", [MovedError(f"{CHAT} c2:7002"), ResponseError("CROSSSLOT Keys in request don't hash")])
def test_a_node_of_a_cluster_by_a_plain_url(said: ResponseError) -> None:
    text = str(refused(RedisServer("redis://c1:7001"), said))
    assert text.endswith("it is a node of a Redis Cluster: its URL begins with redis+cluster://")


def test_a_slot_that_stays_away() -> None:
    error = Told().map.elsewhere(ClusterDownError("The cluster is down"))
    text = str(unavailable(RedisServer("redis+cluster://c1:7001"), error))
    assert text.startswith(
        f"Redis Cluster at redis+cluster://c1:7001: slot {CHAT} of the hub is elsewhere, or on its way"
    )


def test_jobs_need_a_plain_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBQ_JOBS_REDIS_URL", raising=False)
    hub = Hub("chat", redis="redis+cluster://c1:7001")
    with pytest.raises(ConfigError, match=r"jobs_redis=... or HUBQ_JOBS_REDIS_URL"):
        hub.enqueue(print)
    with pytest.raises(ConfigError, match="does not run on a Redis Cluster"):
        Hub("chat", jobs_redis="redis+cluster://c1:7001")
    there = Hub("chat", redis="redis+cluster://c1:7001", jobs_redis="redis://jobs:6379/0")
    assert there.jobs_server.address == "redis://jobs:6379/0"
    monkeypatch.setenv("HUBQ_JOBS_REDIS_URL", "redis://other:6379/0")
    assert Hub("chat", redis="redis+cluster://c1:7001").jobs_server.address == "redis://other:6379/0"
    monkeypatch.delenv("HUBQ_JOBS_REDIS_URL")
    assert Hub("chat", redis="redis://one:6379/0").jobs_server.address == "redis://one:6379/0"
