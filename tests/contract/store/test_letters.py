"""Messages that a commit deletes and keeps as dead letters: once, with their circumstances, and only so many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.store.dead_letters import NewLetter, Why, read_dead, replay_dead
from hubq.store.effects import Effects
from hubq.store.keys import Keys
from hubq.store.mailbox import read_range
from hubq.store.membership import join_node
from hubq.store.outgoing import Outgoing, send_messages, start_children
from hubq.store.owners import Kept, Owner, claim_shards, commit_shard, read_owners
from hubq.store.registry import read_texts


class Desk:
    """A shard with the children "a" and "b", whose owner commits."""

    def __init__(self, keys: Keys, redis: SyncRedis) -> None:
        self.keys, self.redis = keys, redis
        self._seq = 1
        incarnation = self.run(join_node(keys, "n", {"host": "h", "pid": 1}, 60_000, 1000, 4)).incarnation
        self.run(claim_shards(keys, "n", incarnation, [0], [], Kept(1000, 5, 60_000)))
        self.owner = self.run(read_owners(keys)).shards[0]
        command = start_children(
            keys, 0, "s", 1, dict.fromkeys("ab", b'{"name":"Room","start_id":"s:1"}\n'), reply_to="", timeout_ms=0,
            all_or_nothing=False, sender_ttl_ms=60_000,
        )  # fmt: skip
        self.run(command)
        self.commit(Effects(done={"a": [self.waiting[0].entry]}))

    def run(self, command: Any) -> Any:
        return self.redis.run(command)

    def raw(self, *args: Any) -> Any:
        return self.run(plain(*args, read=lambda answer: answer))

    def cast(self, child: str, payload: bytes = b"p") -> bytes:
        self._seq += 1
        messages = {0: [(self._seq, Outgoing("cast", child, "post", payload, 0.0, False))]}
        assert self.run(send_messages(self.keys, "s", messages, sender_ttl_ms=60_000, max_backlog=1000)) == ["ok"]
        return bytes(self.waiting[-1].entry)

    def bury(
        self, child: str, *entries: bytes, class_name: str = "Room", why: Why = "raised", error: str = "boom",
        kept: int = 3, most: int = 50, owner: Owner | None = None,
    ) -> str:  # fmt: skip
        letters = [NewLetter.of(entry, class_name, why, error, kept, most) for entry in entries]
        return self.commit(Effects(done={child: list(entries)}, letters=letters), owner)

    def commit(self, effects: Effects, owner: Owner | None = None) -> str:
        return str(self.run(commit_shard(self.keys, 0, None, owner or self.owner, effects)))

    @property
    def waiting(self) -> Any:
        return self.run(read_range(self.keys, 0, b"0", b"+", 2000))

    @property
    def backlog(self) -> Any:
        return self.run(read_texts(self.keys.backlog(0)))

    @property
    def letters(self) -> Any:
        return self.run(read_dead(self.keys, 0))


@pytest.fixture
def desk(server: Any, make_hub: Any) -> Iterator[Desk]:
    redis = SyncRedis(server)
    yield Desk(Keys(make_hub().hub_id), redis)
    redis.close()


def test_a_letter_holds_the_message_and_its_circumstances(desk: Desk) -> None:
    entry, other = desk.cast("a"), desk.cast("b")
    assert desk.bury("a", entry, why="bad-arguments", error="Traceback ...") == "ok"
    (letter,) = desk.letters
    assert (letter.kind, letter.child, letter.method, letter.payload, letter.reply_to) == (
        "cast",
        "a",
        "post",
        b"p",
        "",
    )
    assert (letter.class_name, letter.why, letter.error) == ("Room", "bad-arguments", "Traceback ...")
    assert (letter.id, letter.sender, letter.tries, letter.crashes) == ("s#2", "s", 0, ())
    assert letter.sent == int(entry.partition(b"-")[0]) <= letter.died
    assert [message.entry for message in desk.waiting] == [other]
    assert desk.backlog == {"b": "1"}
    assert desk.raw("PTTL", desk.keys.dead_of(0, "Room")) > 0


def test_a_commit_that_is_repeated_writes_no_second_letter(desk: Desk) -> None:
    entries = [desk.cast("a") for _ in range(2)]
    assert desk.bury("a", entries[0]) == "ok"
    assert desk.bury("a", *entries) == "ok"  # an answer was lost: sent again, together with what came since
    assert [letter.id for letter in desk.letters] == ["s#2", "s#3"]
    assert desk.backlog == {}


def test_a_commit_that_is_fenced_writes_no_letter(desk: Desk) -> None:
    entry = desk.cast("a")
    assert desk.bury("a", entry, owner=Owner("n", 1, 99)) == "fenced"
    assert desk.letters == [] and [message.entry for message in desk.waiting] == [entry]


def test_the_oldest_of_a_class_go_first_and_other_classes_are_not_touched(desk: Desk) -> None:
    assert desk.bury("b", desk.cast("b"), class_name="Feed") == "ok"
    desk.bury("a", *(desk.cast("a") for _ in range(7)))
    assert [(letter.class_name, letter.id) for letter in desk.letters] == [
        ("Feed", "s#2"), ("Room", "s#7"), ("Room", "s#8"), ("Room", "s#9")
    ]  # fmt: skip
    desk.bury("a", desk.cast("a"), kept=1)  # the class keeps fewer from now on
    assert [letter.id for letter in desk.letters] == ["s#2", "s#10"]


def test_a_shard_keeps_only_so_many_letters_of_all_classes(desk: Desk) -> None:
    for number in range(8):
        desk.bury("a", desk.cast("a"), class_name=f"C{number}", most=5)
    assert [letter.class_name for letter in desk.letters] == ["C3", "C4", "C5", "C6", "C7"]


def test_a_large_letter_takes_the_place_of_several(desk: Desk) -> None:
    small = [desk.cast("a") for _ in range(3)]
    desk.bury("a", *small, kept=4)
    desk.bury("a", desk.cast("a", b"p" * 40_000), kept=4)  # three places
    assert [len(letter.payload) for letter in desk.letters] == [1, 40_000]
    desk.bury("a", desk.cast("a", b"p" * 1_000_000), kept=4)  # never more than all of them
    assert [len(letter.payload) for letter in desk.letters] == [1_000_000]


def test_a_letter_is_sent_again_once(desk: Desk) -> None:
    desk.bury("a", desk.cast("a"))
    entry = desk.letters[0].letter.partition("/")[2]
    assert desk.run(replay_dead(desk.keys, 0, entry)) == "ok"
    assert desk.run(replay_dead(desk.keys, 0, entry)) == "gone"
    (message,) = desk.waiting
    assert (message.kind, message.child, message.method, message.payload) == ("cast", "a", "post", b"p")
    assert desk.letters == [] and desk.backlog == {"a": "1"}
    desk.bury("a", message.entry, why="unknown-method")
    assert [(letter.why, letter.sender) for letter in desk.letters] == [("unknown-method", "s")]


def test_what_was_no_message_is_not_sent_again(desk: Desk) -> None:
    entry = desk.raw("XADD", desk.keys.mailbox(0), "*", "x", "y")
    assert desk.bury("", entry, class_name="", why="malformed") == "ok"
    (letter,) = desk.letters
    assert (letter.why, letter.kind, letter.child, letter.payload) == ("malformed", "", "", b"")
    assert desk.run(replay_dead(desk.keys, 0, letter.letter.partition("/")[2])) == "malformed"
    assert len(desk.letters) == 1 and desk.waiting == []


def test_a_letter_of_an_older_hubq_is_read(desk: Desk) -> None:
    desk.raw(
        "XADD", desk.keys.dead(0), "*", "kind", "call", "child", "a", "method", "post", "id", "7", "reply_to", "c",
        "deadline", "5", "payload", b"p", "entry", "17-0", "class", "Room", "tries", "3", "crashes", "a#1 b#2 c#3",
    )  # fmt: skip
    (letter,) = desk.letters
    assert (letter.why, letter.error, letter.sender) == ("took-down", "", "c")
    assert (letter.tries, letter.sent, letter.deadline) == (3, 17, 5)
