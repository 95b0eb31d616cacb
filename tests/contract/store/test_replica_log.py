"""The scripts of the log: who follows, what a commit writes, what is cut off."""

from __future__ import annotations

from typing import Any

import pytest

from hubq.core.replication import LogPosition
from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.store.effects import Effects
from hubq.store.keys import Keys
from hubq.store.membership import join_node, leave_node
from hubq.store.owners import Kept, claim_shards, commit_shard, read_owners
from hubq.store.replica_log import (
    LogItem,
    follow_shard,
    read_followers,
    read_last_number,
    read_log,
    report_replica,
    unfollow_shard,
)

TTL = 60_000


class Desk:
    """One shard, owned by ``a``; ``b`` and ``c`` may follow it."""

    def __init__(self, server: Any, hub_id: str) -> None:
        self.redis = SyncRedis(server)
        self.keys = Keys(hub_id)
        self.incarnation = {
            name: self.run(join_node(self.keys, name, {}, 60_000, 100, 4)).incarnation for name in "abc"
        }
        self.run(claim_shards(self.keys, "a", self.incarnation["a"], [0], [], Kept(100, 10, 60_000)))
        self.owner = self.run(read_owners(self.keys)).shards[0]

    def run(self, command: Any) -> Any:
        return self.redis.run(command)

    def follow(self, node: str) -> LogPosition:
        position = self.run(follow_shard(self.keys, 0, node, self.incarnation[node], TTL))
        assert isinstance(position, LogPosition)
        return position

    def report(self, node: str, position: LogPosition, ready: bool = True) -> Any:
        return self.run(report_replica(self.keys, 0, node, self.incarnation[node], TTL, position, ready))

    def commit(self, *items: LogItem, latest: dict[str, bytes] | None = None) -> str:
        effects = Effects(log=list(items), latest=latest or {})
        word: str = self.run(commit_shard(self.keys, 0, None, self.owner, effects))
        return word

    def exists(self, key: str) -> bool:
        return bool(self.run(plain("EXISTS", key, read=int)))

    def ttl(self, key: str) -> int:
        return int(self.run(plain("PTTL", key, read=int)))


@pytest.fixture
def desk(server: Any, make_hub: Any) -> Any:
    desk = Desk(server, make_hub().hub_id)
    yield desk
    desk.redis.close()


MESSAGE = LogItem("message", "room-1", "5-0", "post", "ok", b"p...")


def test_nothing_is_written_while_nobody_follows(desk: Desk) -> None:
    assert desk.commit(MESSAGE) == "ok"
    assert not desk.exists(desk.keys.log(0)) and not desk.exists(desk.keys.replicas(0))
    assert desk.run(read_last_number(desk.keys, 0)) == 0


def test_a_follower_reads_what_commits_did_in_their_order(desk: Desk) -> None:
    at = desk.follow("b")
    assert (
        desk.commit(LogItem("start", "room-1", word="s:1"), MESSAGE, latest={"x": b"1 attributes 5-0\n", "y": b""})
        == "ok"
    )
    assert desk.commit(LogItem("end", "room-1", word="s:1")) == "ok"
    entries = desk.run(read_log(desk.keys, 0, at.entry, 100))
    assert [entry.item for entry in entries] == [
        LogItem("start", "room-1", word="s:1"), MESSAGE, LogItem("state", "x", payload=b"1 attributes 5-0\n"),
        LogItem("saved", "y"), LogItem("end", "room-1", word="s:1"),
    ]  # fmt: skip
    assert [entry.number for entry in entries] == [at.number + n for n in range(1, 6)]
    assert desk.run(read_last_number(desk.keys, 0)) == at.number + 5
    later = desk.follow("c")
    assert later == LogPosition(at.number + 5, entries[-1].id)
    assert desk.run(read_log(desk.keys, 0, later.entry, 100)) == []


def test_a_fenced_commit_writes_no_log(desk: Desk) -> None:
    at = desk.follow("b")
    desk.owner = type(desk.owner)("a", desk.incarnation["a"], desk.owner.token + 1)
    assert desk.commit(MESSAGE) == "fenced"
    assert desk.run(read_log(desk.keys, 0, at.entry, 100)) == []


def test_the_log_is_cut_to_what_the_slowest_live_follower_needs(desk: Desk) -> None:
    desk.follow("b")
    desk.follow("c")
    for _ in range(10):
        desk.commit(MESSAGE)
    entries = desk.run(read_log(desk.keys, 0, "0", 100))
    assert len(entries) == 10

    def report(node: str, n: int) -> None:
        assert desk.report(node, LogPosition(entries[n].number, entries[n].id)) == entries[-1].number

    def left() -> int:
        return len(desk.run(read_log(desk.keys, 0, "0", 100)))

    report("b", 7)
    assert left() == 10  # c has not read anything yet
    report("c", 4)
    assert left() == 6
    assert [(f.node, f.ready, f.behind) for f in desk.run(read_followers(desk.keys, 0))] == [
        ("b", True, 2),
        ("c", True, 5),
    ]
    desk.run(leave_node(desk.keys, "c", desk.incarnation["c"], 100))
    report("b", 9)
    assert left() == 1
    assert [f.node for f in desk.run(read_followers(desk.keys, 0))] == ["b"]


def test_a_follower_that_was_forgotten_is_told(desk: Desk) -> None:
    at = desk.follow("b")
    assert desk.report("c", at) is None
    assert desk.run(follow_shard(desk.keys, 0, "b", desk.incarnation["b"] + 7, TTL)) is None
    desk.run(leave_node(desk.keys, "b", desk.incarnation["b"], 100))
    assert desk.report("b", at) is None


def test_the_log_goes_with_its_last_follower_and_by_itself(desk: Desk) -> None:
    desk.follow("b")
    at = desk.follow("c")
    desk.commit(MESSAGE)
    assert 0 < desk.ttl(desk.keys.replicas(0)) <= TTL and desk.ttl(desk.keys.log(0)) > TTL
    assert desk.run(unfollow_shard(desk.keys, 0, "b", desk.incarnation["b"])) == "left"
    assert desk.exists(desk.keys.log(0))
    assert desk.run(unfollow_shard(desk.keys, 0, "c", desk.incarnation["c"])) == "left"
    assert desk.run(unfollow_shard(desk.keys, 0, "c", desk.incarnation["c"])) == "gone"
    assert not desk.exists(desk.keys.log(0)) and not desk.exists(desk.keys.replicas(0))
    again = desk.follow("c")
    assert again.number >= at.number  # an old position is never ahead of a new log


def test_effects_without_replication_carry_nothing_of_it() -> None:
    names, _ = Effects(done={"a": [b"1-0"]}).for_script(Keys("chat"), 0)
    assert Keys("chat").log(0) not in names
