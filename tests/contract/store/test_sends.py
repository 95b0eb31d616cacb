"""What a commit sends from child to child: into mailboxes, the outbox, or the dead letters; once, and in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from hubq.errors import RedisRefused
from hubq.store.command import plain, text
from hubq.store.connection import SyncRedis
from hubq.store.dead_letters import read_dead, replay_dead
from hubq.store.effects import Effects, Numbered
from hubq.store.keys import Keys
from hubq.store.mailbox import read_range
from hubq.store.membership import evict_node, join_node, leave_node
from hubq.store.message import sender_of
from hubq.store.outbox import forward_outbox, outbox_length, read_outbox
from hubq.store.owners import Kept, Owner, claim_shards, commit_shard, pass_token
from hubq.store.registry import read_specs, read_texts
from hubq.store.saying import SayingLimits
from hubq.store.sends import Sent
from hubq.store.waiting_jobs import Enqueued

from .script_drives import World

TWO = SayingLimits(max_backlog=2, dead_kept=10)


class Post(World):
    """Shard 0 sends to children of shard 1; ``x`` and ``y`` are there, with nothing in their mailboxes."""

    def __init__(self, keys: Keys, redis: SyncRedis) -> None:
        super().__init__(keys, redis)
        for child in ("x", "y"):
            self.raw("HSET", keys.children(1), child, b'{"name":"Room","module":"m","start_id":"s:1"}\n')

    def commit(self, sent: Sequence[Sent], number: int | None = None, limits: SayingLimits = TWO) -> str:
        numbered = None if number is None else Numbered("a", self.a, number, "0")
        effects = Effects(said=list(sent), numbered=numbered, limits=limits)
        return str(self.run(commit_shard(self.keys, 0, None, self.owner, effects)))

    def mailbox(self) -> list[tuple[str, str, str]]:
        return [(m.kind, m.child, m.method) for m in self.run(read_range(self.keys, 1, b"0", b"+", 100))]

    def outbox(self) -> dict[str, int]:
        return self.run(read_outbox(self.keys, 0, range(2))).found

    def forward(self, passed_over: Sequence[str] = ()) -> Any:
        return self.run(forward_outbox(self.keys, 0, self.outbox(), TWO, passed_over))

    def taken(self, count: int) -> None:
        """The first messages of shard 1 are handled."""
        done: dict[str, list[bytes]] = {}
        for message in self.run(read_range(self.keys, 1, b"0", b"+", count)):
            done.setdefault(message.child, []).append(message.entry)
        assert self.run(commit_shard(self.keys, 1, None, Owner("a", self.a, 1), Effects(done=done))) == "ok"

    def backlog(self) -> dict[str, str]:
        return dict(self.run(read_texts(self.keys.backlog(1))))


@pytest.fixture
def post(server: Any, make_hub: Any) -> Iterator[Post]:
    redis = SyncRedis(server)
    yield Post(Keys(make_hub().hub_id), redis)
    redis.close()


def cast(child: str, method: str, spec: bytes = b"") -> Sent:
    return Sent("room-1", 1, child, method, b"p", spec)


def test_messages_go_into_their_mailboxes_in_order_and_say_who_sent_them(post: Post) -> None:
    assert post.commit([cast("x", "one"), cast("y", "two"), cast("x", "three")]) == "ok"
    assert post.mailbox() == [("cast", "x", "one"), ("cast", "y", "two"), ("cast", "x", "three")]
    assert post.backlog() == {"x": "2", "y": "1"}
    first = post.run(read_range(post.keys, 1, b"0", b"+", 1))[0]
    assert sender_of(first.id, first.reply_to) == "child room-1"
    assert first.deadline == 0 and first.payload == b"p"


def test_a_commit_that_is_repeated_under_its_number_sends_nothing_again(post: Post) -> None:
    assert post.commit([cast("x", "one")], number=1) == "ok"
    assert post.commit([cast("x", "one")], number=1) == "ok"
    assert post.mailbox() == [("cast", "x", "one")]
    assert post.commit([cast("x", "two")], number=2) == "ok"
    assert post.mailbox() == [("cast", "x", "one"), ("cast", "x", "two")]


def spoil(post: Post, key: str) -> None:
    """Somebody else has written there."""
    post.raw("DEL", key)
    post.raw("SET", key, "x")


@pytest.mark.parametrize("kind", ["mailbox", "children", "backlog"])
def test_what_is_sent_to_a_shard_with_a_key_of_another_type_waits_and_holds_up_nothing(post: Post, kind: str) -> None:
    key = getattr(post.keys, kind)(1)
    before = post.raw("DUMP", key)
    spoil(post, key)
    assert post.commit([cast("x", "one"), cast("new", "two", b"{}\n")], number=1) == "held"
    assert post.commit([cast("x", "one"), cast("new", "two", b"{}\n")], number=1) == "held", "it is repeated"
    assert post.forward().moved == 0
    post.raw("DEL", key)
    if before is not None:
        post.raw("RESTORE", key, 0, before)
    assert post.forward().moved == 2
    assert post.mailbox() == [("cast", "x", "one"), ("start", "new", ""), ("cast", "new", "two")]


def test_what_is_sent_to_a_mailbox_that_takes_no_entry_any_more_waits(post: Post) -> None:
    post.raw("XADD", post.keys.mailbox(1), f"{2**64 - 1}-{2**64 - 1}", "x", "y")
    assert post.commit([cast("x", "one")]) == "held"
    post.raw("DEL", post.keys.mailbox(1))
    assert post.forward().moved == 1 and post.mailbox() == [("cast", "x", "one")]


def test_a_backlog_that_is_no_number_counts_as_none(post: Post) -> None:
    post.raw("HSET", post.keys.backlog(1), "x", "soon")
    assert post.commit([cast("x", "one")]) == "ok" and post.backlog() == {"x": "1"}


def test_a_commit_that_is_refused_for_one_key_has_said_nothing_yet(post: Post) -> None:
    """Else it would be taken for said already when the commit is repeated."""
    spoil(post, post.keys.jobs(0))
    said = [cast("x", "one"), Enqueued("room-1", "job-1", "", b"\x93\x80\xc2\xc2")]
    numbered = Numbered("a", post.a, 1, "0")
    command = commit_shard(post.keys, 0, None, post.owner, Effects(said=said, numbered=numbered))
    for _ in range(2):
        with pytest.raises(RedisRefused, match="WRONGTYPE"):
            post.run(command)
    assert post.mailbox() == [] and post.raw("EXISTS", post.keys.said("a")) == 0
    post.raw("DEL", post.keys.jobs(0))
    assert post.run(command) == "ok"
    assert post.mailbox() == [("cast", "x", "one")] and post.raw("XLEN", post.keys.jobs(0)) == 1


def test_the_numbers_of_another_life_of_the_node_are_others(post: Post) -> None:
    post.raw("HSET", post.keys.said("a"), "0", f"{post.a - 1} 99")
    assert post.commit([cast("x", "one")], number=1) == "ok"
    assert post.mailbox() == [("cast", "x", "one")]


def test_the_numbers_go_with_their_node_and_outlive_its_eviction_by_a_minute(post: Post) -> None:
    said = post.keys.said("a")

    def commit() -> None:
        effects = Effects(said=[cast("x", "one")], numbered=Numbered("a", post.a, 1, "0"))
        assert post.run(commit_shard(post.keys, 0, None, post.owner, effects)) == "ok"
        post.raw("ZADD", post.keys.leases, 1, "a")

    post.raw("ZADD", post.keys.leases, 1, "b")
    assert post.run(evict_node(post.keys, "b", "a", 10)) == "evicted"
    assert 0 < post.raw("PTTL", post.keys.said("b")) <= 60_000, "its first commit that says something may be on its way"
    commit()
    assert post.raw("PTTL", said) == -1, "a node that Redis did not hear for hours may repeat its commit"
    assert post.run(evict_node(post.keys, "a", "b", 10)) == "evicted"
    assert 0 < post.raw("PTTL", said) <= 60_000
    commit()  # it was on its way
    assert len(post.mailbox()) == 1
    joined = post.run(join_node(post.keys, "a", {}, 1000, 10, 4))
    assert joined.status == "ok" and post.raw("PTTL", said) == -1
    assert post.run(leave_node(post.keys, "a", joined.incarnation, 10)) == "left"
    assert post.raw("EXISTS", said) == 0


def test_a_fenced_commit_sends_nothing(post: Post) -> None:
    effects = Effects(said=[cast("x", "one")], numbered=Numbered("a", post.a, 1, "0"))
    assert post.run(commit_shard(post.keys, 0, None, Owner("b", 9, 9), effects)) == "fenced"
    assert post.mailbox() == [] and post.raw("EXISTS", post.keys.said("a")) == 0


def test_a_handover_sends_as_well(post: Post) -> None:
    b = post.join("b")
    command = pass_token(
        post.keys, 0, post.owner, "b", b, handover_id="h", closed_at_ms=1.0, pinned={},
        effects=Effects(said=[cast("x", "one")]), events_kept=10,
    )  # fmt: skip
    assert post.run(command) == "passed" and post.run(command) == "passed"
    assert post.mailbox() == [("cast", "x", "one")]


def test_a_start_writes_spec_and_message_once(post: Post) -> None:
    spec = b'{"name":"Room","module":"m","start_id":"a#1:1"}\npargs'
    assert post.commit([cast("new", "", spec), cast("new", "hello"), cast("new", "", spec)]) == "ok"
    assert post.mailbox() == [("start", "new", ""), ("cast", "new", "hello")]
    assert post.run(read_specs(post.keys, 1))["new"].start_id == "a#1:1"
    assert post.commit([cast("x", "", spec)]) == "ok"
    assert post.run(read_specs(post.keys, 1))["x"].start_id == "s:1", "a child that is there stays as it is"


def test_a_message_with_a_spec_starts_its_child_if_it_is_not_there(post: Post) -> None:
    spec = b'{"name":"Room","module":"m","start_id":"a#1:1"}\npargs'
    assert post.commit([cast("new", "hello", spec), cast("x", "hello", spec)]) == "ok"
    assert post.mailbox() == [("start", "new", ""), ("cast", "new", "hello"), ("cast", "x", "hello")]


def test_a_message_to_nobody_is_a_dead_letter_that_says_who_sent_it(post: Post) -> None:
    assert post.commit([cast("none", "hello")]) == "ok"
    (letter,) = post.run(read_dead(post.keys, 1))
    assert (letter.why, letter.child, letter.method, letter.sender) == (
        "unknown-child",
        "none",
        "hello",
        "child room-1",
    )
    assert "room-1" in letter.error
    entry = letter.letter.partition("/")[2]
    assert post.run(replay_dead(post.keys, 1, entry)) == "unknown"
    post.raw("HSET", post.keys.children(1), "none", b'{"name":"Room","module":"m","start_id":"s:2"}\n')
    assert post.run(replay_dead(post.keys, 1, entry)) == "ok"
    assert post.mailbox() == [("cast", "none", "hello")]


def test_what_finds_a_full_mailbox_waits_in_the_outbox_and_the_commit_goes_on(post: Post) -> None:
    sent = [cast("x", name) for name in ("1", "2", "3", "4")] + [cast("y", "1")]
    assert post.commit(sent, number=1) == "held"
    assert post.mailbox() == [("cast", "x", "1"), ("cast", "x", "2"), ("cast", "y", "1")]
    assert post.run(outbox_length(post.keys, 0)) == 2
    assert post.commit(sent, number=1) == "held", "there is still something, and nothing is sent again"
    assert post.run(outbox_length(post.keys, 0)) == 2


def test_later_messages_queue_behind_those_that_wait(post: Post) -> None:
    post.commit([cast("x", name) for name in ("1", "2", "3")])
    post.taken(1)
    assert post.commit([cast("x", "4")]) == "held", "there is room, but 3 comes first"
    assert post.mailbox() == [("cast", "x", "2")]
    done = post.forward()
    assert (done.moved, done.left, done.passed_over) == (1, 1, ("x",))
    post.taken(2)
    assert post.forward().left == 0
    assert post.mailbox() == [("cast", "x", "4")]
    assert post.raw("EXISTS", *post.keys.outbox_keys(0)) == 0
    assert post.commit([cast("x", "5")]) == "ok"


def test_a_child_that_an_earlier_part_passed_over_is_passed_over_in_the_next(post: Post) -> None:
    post.commit([cast("x", name) for name in ("1", "2", "3")] + [cast("y", "1"), cast("y", "2"), cast("y", "3")])
    post.taken(6)
    done = post.forward(passed_over=["x"])
    assert (done.moved, done.left, done.passed_over) == (1, 1, ("x",))
    assert post.mailbox() == [("cast", "y", "3")]


def test_two_that_forward_the_same_move_each_message_once(post: Post) -> None:
    post.commit([cast("x", name) for name in ("1", "2", "3")])
    post.taken(2)
    command = forward_outbox(post.keys, 0, post.outbox(), TWO)
    assert post.run(command).moved == 1 and post.run(command).moved == 0
    assert post.mailbox() == [("cast", "x", "3")]


def test_a_message_that_waited_for_a_child_that_has_gone_is_a_dead_letter(post: Post) -> None:
    post.commit([cast("x", name) for name in ("1", "2", "3")])
    post.raw("HDEL", post.keys.children(1), "x")
    assert post.forward().moved == 1
    assert [letter.method for letter in post.run(read_dead(post.keys, 1))] == ["3"]


def test_a_child_may_send_to_its_own_shard_and_to_itself(post: Post) -> None:
    post.run(claim_shards(post.keys, "a", post.a, [1], [], Kept(1000, 10, 60_000)))
    entry = post.raw("XADD", post.keys.mailbox(1), "*", *_fields("x"))
    post.raw("HSET", post.keys.backlog(1), "x", 1)
    effects = Effects(done={"x": [entry]}, said=[Sent("x", 1, "x", "again", b"p")], limits=TWO)
    assert post.run(commit_shard(post.keys, 1, None, Owner("a", post.a, 1), effects)) == "ok"
    assert post.mailbox() == [("cast", "x", "again")] and post.backlog() == {"x": "1"}


def _fields(child: str) -> list[str]:
    message = {
        "kind": "cast",
        "child": child,
        "method": "m",
        "id": "s#1",
        "reply_to": "",
        "deadline": "0",
        "payload": "p",
    }
    return [part for field in message.items() for part in field]


def test_what_a_commit_sends_stands_in_redis_as_any_message(post: Post) -> None:
    post.commit([cast("x", "one")])
    ((_, fields),) = post.redis.run(plain("XRANGE", post.keys.mailbox(1), "-", "+", read=list))
    assert [text(name) for name in fields[::2]] == ["kind", "child", "method", "id", "reply_to", "deadline", "payload"]
