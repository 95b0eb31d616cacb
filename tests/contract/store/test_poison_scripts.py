"""Crashes as the scripts see them: who counts, who is condemned, who is absolved, and letters that are sent again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.store.dead_letters import drop_dead, read_dead, replay_dead
from hubq.store.effects import Effects
from hubq.store.keys import Keys
from hubq.store.mailbox import read_range
from hubq.store.membership import join_node, leave_node
from hubq.store.outgoing import Outgoing, send_messages, start_children
from hubq.store.owners import Kept, Owner, claim_shards, commit_shard, dissolve_pins, read_owners
from hubq.store.registry import read_texts
from hubq.store.replies import read_reply
from hubq.store.tries import (
    Mark,
    Suspect,
    absolve_node,
    blame,
    end_watch,
    mark_tries,
    message_field,
    read_tries,
    start_field,
)

KEPT = Kept(1000, 5, 60_000)


class Desk:
    """One shard, and nodes that die over it."""

    def __init__(self, keys: Keys, redis: SyncRedis) -> None:
        self.keys, self.redis = keys, redis
        self.owner = Owner("-", 0, 0)

    def run(self, command: Any) -> Any:
        return self.redis.run(command)

    def raw(self, *args: Any) -> Any:
        return self.run(plain(*args, read=lambda answer: answer))

    def join(self, node: str, was: str = "") -> int:
        info: dict[str, Any] = {"host": "h", "pid": 1, **({"was": was} if was else {})}
        return int(self.run(join_node(self.keys, node, info, 60_000, 1000, 4)).incarnation)

    def die(self) -> None:
        """The owner is evicted."""
        self.raw("HDEL", self.keys.nodes, self.owner.node)
        self.raw("ZREM", self.keys.leases, self.owner.node)

    def claim(self, node: str, incarnation: int) -> Owner:
        taken = self.run(claim_shards(self.keys, node, incarnation, [0], [], KEPT))
        self.owner = Owner(node, incarnation, taken[0])
        return self.owner

    def next(self, node: str) -> Owner:
        """The owner dies and another node takes over."""
        self.die()
        return self.claim(node, self.join(node))

    def fill(self, *children: str) -> None:
        command = start_children(
            self.keys, 0, "s", 1, dict.fromkeys(children, b'{"name":"Room","start_id":"s:1"}\n'), reply_to="",
            timeout_ms=0, all_or_nothing=False, sender_ttl_ms=60_000,
        )  # fmt: skip
        assert self.run(command) == ["ok"] * len(children)
        (start,) = self.run(read_range(self.keys, 0, b"0", b"+", 10))
        self.raw("XDEL", self.keys.mailbox(0), start.entry)
        self.raw("DEL", self.keys.backlog(0))
        messages = {0: [(n, Outgoing("call", child, "post", b"p", 5.0, True)) for n, child in enumerate(children, 2)]}
        self.run(send_messages(self.keys, "s", messages, sender_ttl_ms=60_000, max_backlog=100))

    def entry(self, child: str) -> str:
        return str(
            next(m for m in self.run(read_range(self.keys, 0, b"0", b"+", 99)) if m.child == child).entry.decode()
        )

    def mark(self, field: str, entry: str, count: int) -> str:
        known = self.tries.marks.get(field)
        crashes = known.crashes if known is not None else self.tries.crashes[-1:]
        text = Mark(entry, count, f"{self.owner.node}#{self.owner.incarnation}", crashes).written
        return str(self.run(mark_tries(self.keys, 0, None, self.owner, {field: text})))

    @property
    def tries(self) -> Any:
        return self.run(read_tries(self.keys, 0))

    @property
    def letters(self) -> Any:
        return self.run(read_dead(self.keys, 0))


@pytest.fixture
def desk(server: Any, make_hub: Any) -> Iterator[Desk]:
    redis = SyncRedis(server)
    desk = Desk(Keys(make_hub().hub_id), redis)
    desk.claim("a", desk.join("a"))
    yield desk
    redis.close()


def condemned(desk: Desk) -> None:
    """The message of "bad" has been in hand at three crashes; that of "good" at two."""
    desk.fill("good", "bad")
    desk.next("b")
    for child in ("good", "bad"):
        assert desk.mark(message_field(child), desk.entry(child), 1) == "ok"
    desk.next("c")
    assert {name: mark.count for name, mark in desk.tries.marks.items()} == {"message good": 2, "message bad": 2}
    assert desk.mark(message_field("bad"), desk.entry("bad"), 2) == "ok"
    desk.next("d")


def test_only_what_was_in_hand_at_three_crashes_is_condemned(desk: Desk) -> None:
    condemned(desk)
    (letter,) = desk.letters
    assert (letter.child, letter.class_name, letter.kind, letter.method) == ("bad", "Room", "call", "post")
    assert (letter.tries, letter.reply_to, letter.payload, letter.id) == (3, "s", b"p", "3")
    assert letter.crashes == ("a#1", "b#2", "c#3")
    assert [message.child for message in desk.run(read_range(desk.keys, 0, b"0", b"+", 9))] == ["good"]
    assert desk.run(read_texts(desk.keys.backlog(0))) == {"good": "1"}
    message_id, status, _, payload = read_reply(desk.raw("LPOP", desk.keys.reply("s")))
    assert (message_id, status) == ("3", "poisoned")
    assert "is dead letter 0/" in msgspec.json.decode(payload)["message"]
    assert b"poisoned" in b" ".join(
        part for _, event in desk.raw("XRANGE", desk.keys.events, "-", "+") for part in event
    )


def test_a_park_and_a_hurried_leave_are_no_crashes(desk: Desk) -> None:
    desk.fill("c")
    assert desk.run(leave_node(desk.keys, "a", desk.owner.incarnation, 1000, force=True)) == "left"
    assert desk.run(read_owners(desk.keys)).shards[0] == Owner("-", 0, 1)
    assert desk.claim("b", desk.join("b")).token == 2
    assert desk.tries is None


def test_the_crash_of_a_pin_counts_and_its_letter_of_the_shard_does_not_twice(desk: Desk) -> None:
    desk.fill("c")
    b = desk.join("b")
    desk.raw("HSET", desk.keys.owners, "0/c", f"b {b} 2")
    desk.raw("HDEL", desk.keys.nodes, "b")
    assert desk.run(dissolve_pins(desk.keys, 0, desk.owner, ["c"], KEPT)) == ("c",)
    assert desk.tries.crashes == (f"b#{b}",)
    assert desk.run(dissolve_pins(desk.keys, 0, desk.owner, ["c"], KEPT)) == ("c",)
    assert desk.tries.crashes == (f"b#{b}",)


def suspect(desk: Desk, child: str) -> Suspect:
    """The message of a child, in hand at the owner."""
    return Suspect(0, None, desk.owner, message_field(child), desk.entry(child))


def test_what_stalls_three_nodes_that_give_up_everything_is_condemned_alone(desk: Desk) -> None:
    desk.fill("good", "bad")
    for turn, node in enumerate("abc", 1):
        if node != "a":
            desk.claim(node, desk.join(node))
        word = "condemned" if turn == 3 else "counted"
        assert desk.run(blame(desk.keys, suspect(desk, "bad"), KEPT)) == word
        if turn < 3:
            assert {name: mark.count for name, mark in desk.tries.marks.items()} == {"message bad": turn}
            assert desk.run(blame(desk.keys, suspect(desk, "bad"), KEPT)) == "counted", "once for each incarnation"
            assert desk.tries.crashes == (), "nothing else counts"
            assert desk.tries.covers(desk.entry("bad").encode())
        assert desk.run(leave_node(desk.keys, node, desk.owner.incarnation, 1000, force=True)) == "left"
    (letter,) = desk.letters
    assert (letter.child, letter.tries, letter.crashes) == ("bad", 3, ("a#1", "b#3", "c#5"))
    assert [message.child for message in desk.run(read_range(desk.keys, 0, b"0", b"+", 9))] == ["good"]
    assert read_reply(desk.raw("LPOP", desk.keys.reply("s")))[1] == "poisoned"


def test_a_start_that_stalls_three_nodes_is_parked(desk: Desk) -> None:
    desk.fill("c")
    for node in "abc":
        if node != "a":
            desk.claim(node, desk.join(node))
        desk.run(blame(desk.keys, Suspect(0, None, desk.owner, start_field("c"), "-"), KEPT))
        desk.run(leave_node(desk.keys, node, desk.owner.incarnation, 1000, force=True))
    assert "took down 3 workers" in desk.run(read_texts(desk.keys.parked(0)))["c"]


def test_who_does_not_own_it_any_more_or_has_done_it_blames_nothing(desk: Desk) -> None:
    desk.fill("c")
    mine = suspect(desk, "c")
    assert desk.run(blame(desk.keys, Suspect(0, None, desk.owner, "message c", "1-0"), KEPT)) == "gone"
    desk.next("b")
    assert desk.run(blame(desk.keys, mine, KEPT)) == "fenced"


@pytest.mark.parametrize("marked", [True, False])
def test_what_has_held_a_node_up_is_not_absolved_with_it(desk: Desk, marked: bool) -> None:
    desk.fill("good", "held")
    held = suspect(desk, "held")
    desk.next("b")
    if marked:
        for child in ("good", "held"):
            desk.mark(message_field(child), desk.entry(child), 1)
    desk.run(absolve_node(desk.keys, [0], "a", 1, held))
    counts = {name: mark.count for name, mark in desk.tries.marks.items()}
    assert counts.get("message held") == 1 and counts.get("message good", 0) == 0


def test_letters_that_were_no_messages_are_no_counts(desk: Desk) -> None:
    desk.fill("held")
    held = suspect(desk, "held")
    desk.next("b")
    for fields in (("x", "y", "why", "malformed"), ("kind", "start", "crashes", "a#1", "why", "malformed"), ("x", "y")):
        desk.raw("XADD", desk.keys.dead(0), "*", *fields)
    before = desk.raw("XLEN", desk.keys.dead(0))
    assert desk.run(absolve_node(desk.keys, [0], "a", 1, held)) == 0
    assert desk.raw("XLEN", desk.keys.dead(0)) == before


def test_a_node_that_was_cut_off_is_absolved(desk: Desk) -> None:
    condemned(desk)
    assert desk.run(absolve_node(desk.keys, [0, 1], "nobody", 1)) == 0
    assert desk.run(absolve_node(desk.keys, [0], "c", 3)) == 2, "the watch, and the letter, which is sent again"
    assert desk.letters == []
    assert [message.child for message in desk.run(read_range(desk.keys, 0, b"0", b"+", 9))] == ["good", "bad"]
    assert "c#3" not in desk.tries.crashes
    # From now on it is known by its former incarnations.
    desk.die()
    was = desk.owner.incarnation
    back = desk.join("d", was=str(was))
    before = desk.tries.crashes
    desk.claim("d", back)
    assert desk.tries.crashes == before


@pytest.mark.parametrize("forced", [True, False])
def test_what_a_former_life_of_a_node_owned_is_no_crash_if_the_node_leaves_before_others_claim_it(
    desk: Desk, forced: bool
) -> None:
    desk.fill("c")
    former = desk.owner
    desk.raw("HSET", desk.keys.owners, "0/c", former.line)
    desk.die()
    back = desk.join("a", was=f"{former.incarnation}")
    assert desk.run(leave_node(desk.keys, "a", back, 1000, force=forced)) == "left"
    assert desk.run(read_owners(desk.keys)).pins == {}
    desk.claim("b", desk.join("b"))
    assert desk.tries is None and desk.owner.token == former.token + 1


def test_who_owns_something_gives_up_nothing_of_its_former_life_either(desk: Desk) -> None:
    former = desk.owner
    desk.die()
    back = desk.join("a", was=f"{former.incarnation}")
    desk.raw("HSET", desk.keys.owners, "1", f"a {back} 1")
    assert desk.run(leave_node(desk.keys, "a", back, 1000)) == "owner"
    assert desk.run(read_owners(desk.keys)).shards[0] == former


def test_a_crash_that_was_taken_back_is_not_counted_again_by_a_mark(desk: Desk) -> None:
    """A node goes on marking with what it has read before."""
    desk.fill("c")
    desk.next("b")
    desk.next("c")
    assert desk.tries.crashes == ("a#1", "b#2")
    me, entry = f"c#{desk.owner.incarnation}", desk.entry("c")
    marks = {
        start_field("c"): Mark("-", 2, me, ("a#1", "b#2")).written,
        message_field("c"): Mark(entry, 1, me, ("b#2",)).written,
    }
    desk.run(absolve_node(desk.keys, [0], "b", 2))
    assert desk.run(mark_tries(desk.keys, 0, None, desk.owner, marks)) == "ok"
    assert desk.tries.marks == {start_field("c"): Mark("-", 1, me, ("a#1",)), message_field("c"): Mark(entry, 0, me)}
    desk.next("d")
    assert not desk.letters, "two workers died at the start, not three"


def test_what_a_mark_has_counted_stays_though_the_watch_names_it_no_more(desk: Desk) -> None:
    """The watch names the last five crashes; a message that was to blame counts in its mark only."""
    desk.fill("c")
    held = suspect(desk, "c")
    assert desk.run(blame(desk.keys, held, KEPT)) == "counted"
    desk.run(leave_node(desk.keys, "a", desk.owner.incarnation, 1000, force=True))
    desk.claim("b", desk.join("b"))
    me = f"b#{desk.owner.incarnation}"
    mark = Mark(desk.entry("c"), 1, me, ("a#1",))
    assert desk.tries.crashes == () and desk.run(
        mark_tries(desk.keys, 0, None, desk.owner, {message_field("c"): mark.written})
    ) == "ok"  # fmt: skip
    assert desk.tries.marks == {message_field("c"): mark}


def test_a_child_is_parked_when_its_start_was_marked(desk: Desk) -> None:
    desk.fill("good", "bad")
    desk.next("b")
    assert desk.tries.stage == "starting"
    desk.next("c")
    assert desk.tries.careful
    assert desk.mark(start_field("bad"), "-", 2) == "ok"
    desk.next("d")
    assert list(desk.run(read_texts(desk.keys.parked(0)))) == ["bad"]
    (letter,) = desk.letters
    assert (letter.kind, letter.child) == ("start", "bad")
    assert len(desk.run(read_range(desk.keys, 0, b"0", b"+", 9))) == 2, "its messages wait"
    assert desk.run(replay_dead(desk.keys, 0, letter.letter[2:])) == "ok"
    assert desk.run(read_texts(desk.keys.parked(0))) == {}
    ((_, fields),) = desk.raw("XRANGE", desk.keys.control("d"), "-", "+")
    assert fields[:2] == [b"kind", b"revive"]


def test_marks_are_fenced_and_the_watch_ends_with_its_messages(desk: Desk) -> None:
    desk.fill("c")
    old = desk.owner
    desk.next("b")
    assert desk.run(mark_tries(desk.keys, 0, None, old, {"message c": "1-0 1 a#1"})) == "fenced"
    assert desk.run(end_watch(desk.keys, 0, old)) == "fenced"
    assert desk.run(end_watch(desk.keys, 0, desk.owner)) == "watching"
    assert desk.tries.stage == "open"
    effects = Effects(done={"c": [desk.entry("c").encode()]})
    assert desk.run(commit_shard(desk.keys, 0, None, desk.owner, effects)) == "ok"
    assert desk.run(end_watch(desk.keys, 0, desk.owner)) == "over"
    assert desk.tries is None
    assert desk.run(end_watch(desk.keys, 0, desk.owner)) == "over"


def test_a_message_that_was_done_is_no_suspect(desk: Desk) -> None:
    desk.fill("c")
    desk.next("b")
    desk.mark(message_field("c"), desk.entry("c"), 1)
    effects = Effects(done={"c": [desk.entry("c").encode()]})
    desk.run(commit_shard(desk.keys, 0, None, desk.owner, effects))
    desk.next("c")
    assert desk.tries.marks == {}


def test_a_letter_is_sent_again_once(desk: Desk) -> None:
    condemned(desk)
    entry = desk.letters[0].letter[2:]
    assert [desk.run(replay_dead(desk.keys, 0, entry)) for _ in range(2)] == ["ok", "gone"]
    again = desk.run(read_range(desk.keys, 0, b"0", b"+", 9))[-1]
    assert (again.child, again.reply_to, again.deadline, again.payload) == ("bad", "", 0, b"p")
    assert desk.run(read_texts(desk.keys.backlog(0)))["bad"] == "1"


def test_letters_stay_if_their_child_is_gone_and_can_be_dropped(desk: Desk) -> None:
    condemned(desk)
    entry = desk.letters[0].letter[2:]
    desk.raw("HDEL", desk.keys.children(0), "bad")
    assert desk.run(replay_dead(desk.keys, 0, entry)) == "unknown"
    assert [desk.run(drop_dead(desk.keys, 0, [entry])) for _ in range(2)] == [1, 0]


def test_letters_are_bounded(desk: Desk) -> None:
    for n in range(9):
        desk.raw("XADD", desk.keys.dead(0), "MAXLEN", KEPT.letters, f"{n + 1}-0", "kind", "cast", "child", "x")
    condemned(desk)
    assert desk.raw("XLEN", desk.keys.dead(0)) == KEPT.letters


def test_marks_of_a_crash_that_was_none_do_not_stay(desk: Desk) -> None:
    """A node that still believes in the watch goes on marking: nothing was left to end that."""
    desk.fill("c")
    desk.next("b")
    watched = desk.owner
    desk.mark(message_field("c"), desk.entry("c"), 1)
    desk.raw("HDEL", desk.keys.tries(0), "watch")  # as absolve_node does
    desk.run(mark_tries(desk.keys, 0, None, watched, {message_field("d"): "1-0 1 b#2"}))
    assert set(desk.tries.marks) == {message_field("c")}, "nothing is marked any more"
    assert desk.run(end_watch(desk.keys, 0, watched)) == "over"
    assert desk.tries is None
