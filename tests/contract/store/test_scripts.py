"""The Lua scripts one by one, on every backend: what each changes, what it answers, and that twice is the same as once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from hubq.core.send_window import WINDOW, SendWindow
from hubq.core.wish import Wish
from hubq.store.command import plain, run_script, text
from hubq.store.connection import SyncRedis
from hubq.store.effects import Effects
from hubq.store.keys import Keys
from hubq.store.mailbox import read_range
from hubq.store.membership import drain_node, evict_node, join_node, leave_node, read_nodes, renew_lease
from hubq.store.message import message_of
from hubq.store.outgoing import Outgoing, send_messages, start_children
from hubq.store.owners import (
    Kept,
    Owner,
    claim_shards,
    commit_shard,
    dissolve_pins,
    park_shard,
    pass_token,
    read_owners,
    release_pin,
    renew_tokens,
)
from hubq.store.places import pass_children, read_pins_epoch, read_wishes, want_place
from hubq.store.registry import read_states, read_texts
from hubq.store.results import About, forget_result, keep_result, read_result
from hubq.store.scripts import SCRIPTS

KEPT = 1000


class Desk:
    """A hub's keys and a client, with short names for what the tests do."""

    def __init__(self, keys: Keys, redis: SyncRedis) -> None:
        self.keys = keys
        self.redis = redis

    def run(self, command: Any) -> Any:
        return self.redis.run(command)

    def raw(self, *args: Any) -> Any:
        return self.redis.run(plain(*args, read=lambda answer: answer))

    def join(self, node: str, lease_ms: int = 60_000) -> int:
        answer = self.run(join_node(self.keys, node, {"host": "h", "pid": 1}, lease_ms, KEPT, 4))
        assert answer.status == "ok"
        return int(answer.incarnation)

    def claim(self, node: str, incarnation: int, *shards: int) -> Any:
        return self.run(claim_shards(self.keys, node, incarnation, list(shards), [], Kept(KEPT, 10, 60_000)))

    def start(self, *children: str, seq: int = 1, sender: str = "s") -> list[str]:
        specs = {child: f'{{"start_id":"{sender}:{seq}"}}\n'.encode() for child in children}
        return list(
            self.run(
                start_children(
                    self.keys,
                    0,
                    sender,
                    seq,
                    specs,
                    reply_to="",
                    timeout_ms=0,
                    all_or_nothing=False,
                    sender_ttl_ms=60_000,
                )
            )
        )

    def send(self, seq: int, child: str = "c", sender: str = "s", max_backlog: int = 100) -> str:
        messages = {0: [(seq, Outgoing("cast", child, "m", b"p", 0, False))]}
        command = send_messages(self.keys, sender, messages, sender_ttl_ms=60_000, max_backlog=max_backlog)
        return str(self.run(command)[0])

    def mailbox(self) -> list[Any]:
        return list(self.run(read_range(self.keys, 0, b"0", b"+", 10_000)))


@pytest.fixture
def desk(server: Any, make_hub: Any) -> Iterator[Desk]:
    redis = SyncRedis(server)
    yield Desk(Keys(make_hub().hub_id), redis)
    redis.close()


def test_every_script_is_short_and_says_what_it_takes() -> None:
    from importlib.resources import files

    for file in files("hubq.store").joinpath("lua").iterdir():
        text = file.read_text("utf-8")
        assert text.startswith("-- "), file.name
        assert len(text.splitlines()) <= 70, file.name
        if not file.name.startswith("_"):
            header = text.split("-- include")[0]
            assert "-- KEYS:" in header and "-- ARGV:" in header and "-- Returns:" in header, file.name
            assert file.name[:-4] in SCRIPTS


def test_join_renew_drain_leave(desk: Desk) -> None:
    first = desk.join("a")
    again = desk.run(join_node(desk.keys, "a", {}, 1000, KEPT, 4))
    assert again.status == "name_taken" and again.lease_until_ms > again.now_ms
    assert desk.run(join_node(desk.keys, "b", {}, 1000, KEPT, 5)).status == "mismatch"
    assert desk.join("b") == first + 1
    renewed = desk.run(renew_lease(desk.keys, "a", first, 1000))
    assert renewed.ok and renewed.epoch == first + 1 and renewed.expired == ()
    assert 0 < renewed.next_end_ms <= 1000
    assert not desk.run(renew_lease(desk.keys, "a", first + 7, 1000)).ok
    assert desk.run(drain_node(desk.keys, "a", first, KEPT)) == "draining"
    assert desk.run(drain_node(desk.keys, "a", None, KEPT)) == "draining"
    assert desk.run(drain_node(desk.keys, "nobody", None, KEPT)) == "gone"
    assert {name: info.up for name, info in desk.run(read_nodes(desk.keys)).items()} == {"a": False, "b": True}
    assert desk.run(leave_node(desk.keys, "a", first, KEPT)) == "left"
    assert desk.run(leave_node(desk.keys, "a", first, KEPT)) == "gone"
    assert list(desk.run(read_nodes(desk.keys))) == ["b"]


def test_a_join_that_arrives_after_its_node_has_left_makes_no_member(desk: Desk) -> None:
    join = join_node(desk.keys, "a", {"life": "0123abcd"}, 1000, KEPT, 4)
    first = desk.run(join).incarnation
    assert desk.run(leave_node(desk.keys, "a", first, KEPT)) == "left"
    assert desk.run(join).status == "left" and not desk.run(read_nodes(desk.keys))
    assert desk.run(join_node(desk.keys, "a", {"life": "4567abcd"}, 1000, KEPT, 4)).status == "ok", "another process"


def test_only_a_lease_that_is_over_can_be_evicted(desk: Desk) -> None:
    incarnation = desk.join("a")
    assert desk.run(evict_node(desk.keys, "a", "b", KEPT)) == "alive"
    desk.raw("ZADD", desk.keys.leases, 1, "a")
    assert desk.run(evict_node(desk.keys, "a", "b", KEPT)) == "evicted"
    assert desk.run(evict_node(desk.keys, "a", "b", KEPT)) == "gone"
    assert not desk.run(renew_lease(desk.keys, "a", incarnation, 1000)).ok


def test_claims_respect_living_owners_and_tokens_only_rise(desk: Desk) -> None:
    a, b = desk.join("a"), desk.join("b")
    assert desk.claim("a", a, 0, 1) == {0: 1, 1: 1}
    assert desk.run(leave_node(desk.keys, "a", a, KEPT)) == "owner"
    assert desk.claim("b", b, 0, 1, 2) == {2: 1}
    assert desk.claim("b", b + 5, 3) is None
    assert desk.run(leave_node(desk.keys, "a", a, KEPT, force=True)) == "left"
    assert desk.claim("b", b, 0, 1, 2) == {0: 2, 1: 2}
    assert desk.run(read_owners(desk.keys)).shards == {0: Owner("b", b, 2), 1: Owner("b", b, 2), 2: Owner("b", b, 1)}


def test_send_judges_each_message(desk: Desk) -> None:
    assert desk.send(1) == "unknown"
    assert desk.start("c", seq=2) == ["ok"]
    assert desk.send(3) == "ok"
    assert desk.send(3) == "duplicate"
    assert desk.send(1) == "ok", "a refused message leaves no mark"
    assert desk.send(4, max_backlog=3) == "full 3"
    assert desk.send(4) == "ok"
    assert desk.run(read_texts(desk.keys.backlog(0))) == {"c": "4"}
    assert [message.kind for message in desk.mailbox()] == ["start", "cast", "cast", "cast"]
    assert 0 < desk.raw("PTTL", desk.keys.sender("s")) <= 60_000


@pytest.mark.long_on_fakeredis
def test_the_window_never_mistakes_a_first_try_and_never_takes_a_second(desk: Desk) -> None:
    desk.start("c", sender="other")
    rng, window = random.Random(5), SendWindow()
    in_flight: list[int] = []
    delivered: set[int] = set()
    for _ in range(1500):
        number = window.take() if len(in_flight) < 60 else None
        if number is not None:
            in_flight.append(number)
        if rng.random() < 0.7 and in_flight:
            chosen = rng.choice(in_flight) if rng.random() < 0.9 else in_flight[0]
            answer = desk.send(chosen, max_backlog=10**9)
            assert answer == ("duplicate" if chosen in delivered else "ok")
            delivered.add(chosen)
            if rng.random() < 0.8:
                in_flight.remove(chosen)
                window.settle(chosen)
        if rng.random() < 0.01:
            window._next += rng.choice([31, 32, 33, WINDOW - 200]) if not in_flight else 0
    assert len(desk.mailbox()) == len(delivered) + 1
    assert desk.send(max(delivered) + 5 * WINDOW, max_backlog=10**9) == "ok"
    assert desk.send(min(delivered), max_backlog=10**9) == "stale"


def test_start_is_told_apart_by_request(desk: Desk) -> None:
    assert desk.start("c", "d", seq=1) == ["ok", "ok"]
    assert desk.start("c", "d", seq=1) == ["ok", "ok"], "the same request again"
    assert desk.start("d", "e", seq=2) == ["exists", "ok"]
    starts = [message for message in desk.mailbox() if message.kind == "start"]
    assert [message.payload for message in starts] == [b'["c","d"]', b'["e"]']


def test_a_commit_is_fenced_and_idempotent(desk: Desk) -> None:
    a = desk.join("a")
    desk.claim("a", a, 0)
    desk.start("c")
    desk.send(2)
    start, cast = desk.mailbox()
    effects = Effects(
        done={"c": [start.entry, cast.entry]}, states={"c": b"1 attributes 0\np"}, replies={"client": [b"r"]}
    )
    for wrong in (Owner("a", a, 2), Owner("b", a, 1), Owner("a", a + 1, 1)):
        assert desk.run(commit_shard(desk.keys, 0, None, wrong, effects)) == "fenced"
    assert len(desk.mailbox()) == 2
    for _ in range(2):
        assert desk.run(commit_shard(desk.keys, 0, None, Owner("a", a, 1), effects)) == "ok"
        assert desk.mailbox() == []
        assert desk.run(read_texts(desk.keys.backlog(0))) == {}
        assert list(desk.run(read_states(desk.keys, 0))) == ["c"]
    assert 0 < desk.raw("PTTL", desk.keys.reply("client")) <= 60_000
    end = Effects(ended={"c": "s:1"})
    assert desk.run(commit_shard(desk.keys, 0, None, Owner("a", a, 1), end)) == "ok"
    assert desk.raw("HLEN", desk.keys.children(0)) == desk.raw("HLEN", desk.keys.msk(0)) == 0
    assert desk.start("c", seq=9) == ["ok"]
    desk.run(commit_shard(desk.keys, 0, None, Owner("a", a, 1), end))
    assert desk.raw("HLEN", desk.keys.children(0)) == 1, "a child started anew is not meant by an old commit"


def test_a_new_token_voids_what_is_still_on_its_way(desk: Desk) -> None:
    a = desk.join("a")
    desk.claim("a", a, 0)
    old, new = Owner("a", a, 1), Owner("a", a, 2)
    wrong = (0, None, Owner("a", a + 1, 1), new)
    assert desk.run(renew_tokens(desk.keys, "a", [wrong], KEPT)) == ["fenced"]
    told = len(desk.raw("XRANGE", desk.keys.events, "-", "+"))
    for _ in range(2):
        pinned = (0, "c", old, new)
        assert desk.run(renew_tokens(desk.keys, "a", [(0, None, old, new), pinned], KEPT)) == ["renewed", "fenced"]
        *_, (_, event) = desk.raw("XRANGE", desk.keys.events, "-", "+")
        assert dict(zip(event[::2], event[1::2], strict=True)) == {
            b"type": b"tokens_renewed",
            b"node": b"a",
            b"shards": b"0",
        }
    assert len(desk.raw("XRANGE", desk.keys.events, "-", "+")) == told + 1, "done twice it is told once"
    assert desk.run(commit_shard(desk.keys, 0, None, old, Effects(states={"c": b"1 attributes 0\np"}))) == "fenced"
    assert desk.run(commit_shard(desk.keys, 0, None, new, Effects())) == "ok"
    assert desk.run(renew_tokens(desk.keys, "a", [(0, None, old, Owner("a", a, 3))], KEPT)) == ["fenced"]


def test_a_commit_of_thousands(desk: Desk) -> None:
    a = desk.join("a")
    desk.claim("a", a, 0)
    desk.start("c")
    messages = {0: [(n, Outgoing("cast", "c", "m", b"p", 0, False)) for n in range(2, 1500)]}
    desk.run(send_messages(desk.keys, "s", messages, sender_ttl_ms=60_000, max_backlog=10_000))
    entries = [message.entry for message in desk.mailbox()]
    effects = Effects(done={"c": entries}, replies={"client": [b"r"] * 2500})
    assert desk.run(commit_shard(desk.keys, 0, None, Owner("a", a, 1), effects)) == "ok"
    assert desk.mailbox() == [] and desk.raw("LLEN", desk.keys.reply("client")) == 2500


def hand_over(desk: Desk, source: Owner, target: str, incarnation: int, pinned: list[str], effects: Effects) -> str:
    return str(
        desk.run(
            pass_token(
                desk.keys, 0, source, target, incarnation, handover_id="h", closed_at_ms=1.0, pinned=dict.fromkeys(pinned, "busy"),
                effects=effects, events_kept=KEPT,
            )
        )
    )  # fmt: skip


def test_pass_token(desk: Desk) -> None:
    a, b = desk.join("a"), desk.join("b")
    desk.claim("a", a, 0)
    desk.start("c", "d")
    source = Owner("a", a, 1)
    effects = Effects(states={"c": b"state"})
    assert hand_over(desk, source, "nobody", 9, [], effects) == "target_gone"
    assert hand_over(desk, source, "b", b + 1, [], effects) == "target_gone"
    desk.raw("ZADD", desk.keys.leases, 1, "b")
    assert hand_over(desk, source, "b", b, [], effects) == "target_gone", "a lease that is over, though not evicted yet"
    assert desk.raw("HLEN", desk.keys.msk(0)) == 0
    desk.run(renew_lease(desk.keys, "b", b, 60_000))
    assert hand_over(desk, Owner("a", a, 7), "b", b, [], effects) == "fenced"
    for _ in range(2):
        assert hand_over(desk, source, "b", b, ["d"], effects) == "passed"
    owners = desk.run(read_owners(desk.keys))
    assert owners.shards == {0: Owner("b", b, 2)} and owners.pins == {(0, "d"): Owner("a", a, 2)}
    assert desk.run(commit_shard(desk.keys, 0, None, source, Effects())) == "fenced"
    assert desk.run(commit_shard(desk.keys, 0, "d", Owner("a", a, 2), Effects())) == "ok"
    control = desk.raw("XRANGE", desk.keys.control("b"), "-", "+")
    assert len(control) == 1 and control[0][1][:2] == [b"kind", b"handover"]
    assert control[0][1][-2:] == [b"pins", b"d"]


def test_the_target_is_told_which_children_have_a_pin(desk: Desk) -> None:
    a, b = desk.join("a"), desk.join("b")
    desk.claim("a", a, 0)
    command = pass_token(
        desk.keys, 0, Owner("a", a, 1), "b", b, handover_id="h", closed_at_ms=1.0, pinned={"d": "busy"}, apart=["c", "e"],
        effects=Effects(), events_kept=100,
    )  # fmt: skip
    assert desk.run(command) == "passed"
    (message,) = desk.raw("XRANGE", desk.keys.control("b"), "-", "+")
    assert message[1][-2:] == [b"pins", b"c\ne\nd"]


def test_pins_are_released_and_dissolved(desk: Desk) -> None:
    a, b = desk.join("a"), desk.join("b")
    desk.claim("a", a, 0)
    desk.start("c", "d")
    assert hand_over(desk, Owner("a", a, 1), "b", b, ["c", "d"], Effects()) == "passed"
    pin, shard = Owner("a", a, 2), Owner("b", b, 2)

    def release(owner: Owner) -> str:
        command = release_pin(
            desk.keys, 0, "c", owner, closed_at_ms=1.0, effects=Effects(states={"c": b"s"}), events_kept=KEPT
        )
        return str(desk.run(command))

    assert release(Owner("a", a, 1)) == "fenced"
    assert release(pin) == "released"
    assert release(pin) == "fenced"
    assert [fields[1] for _, fields in desk.raw("XRANGE", desk.keys.control("b"), "-", "+")] == [
        b"handover",
        b"pin_released",
    ]
    assert desk.run(dissolve_pins(desk.keys, 0, shard, ["d"], Kept(KEPT, 10, 60_000))) == ()
    assert desk.run(dissolve_pins(desk.keys, 0, pin, ["d"], Kept(KEPT, 10, 60_000))) is None
    desk.run(leave_node(desk.keys, "a", a, KEPT, force=True))
    assert desk.run(dissolve_pins(desk.keys, 0, shard, ["d"], Kept(KEPT, 10, 60_000))) == ("d",)
    assert desk.run(read_owners(desk.keys)).pins == {}


def test_park(desk: Desk) -> None:
    a = desk.join("a")
    desk.claim("a", a, 0)
    desk.start("c")
    for _ in range(2):
        command = park_shard(desk.keys, 0, None, Owner("a", a, 1), Effects(states={"c": b"s"}), KEPT)
        assert desk.run(command) == "parked"
    assert desk.run(read_owners(desk.keys)).shards == {0: Owner("-", 0, 1)}
    assert desk.claim("a", a, 0) == {0: 2}
    assert desk.run(park_shard(desk.keys, 0, None, Owner("a", a, 1), Effects(), KEPT)) == "fenced"


def test_a_message_reads_as_it_was_sent(desk: Desk) -> None:
    desk.start("c")
    outgoing = Outgoing("call", "c", "post", b"\x00payload", 5.0, True)
    desk.run(send_messages(desk.keys, "s", {0: [(7, outgoing)]}, sender_ttl_ms=60_000, max_backlog=10))
    (entry, fields) = desk.raw("XRANGE", desk.keys.mailbox(0), "-", "+")[1]
    message = message_of(entry, fields)
    seen = (message.kind, message.child, message.method, message.id, message.reply_to, message.payload)
    assert seen == ("call", "c", "post", "7", "s", b"\x00payload")
    now = int(entry.split(b"-")[0])
    assert now + 4900 <= message.deadline <= now + 5100


def test_a_keyed_job_is_kept_once_its_message_is_sent_unless_it_has_begun(server: Any) -> None:
    redis = SyncRedis(server)
    for status, word, life in (("queued", "kept", -1), ("started", "begun", 60), (None, "begun", -2)):
        key = f"rq:job:keep-{status}"
        if status is not None:
            redis.run(plain("HSET", key, "status", status, "ttl", "60", read=int))
            redis.run(plain("EXPIRE", key, 60, read=int))
        assert redis.run(run_script("keep_job", [key], [], text)) == word
        assert redis.run(plain("TTL", key, read=int)) == life
        assert redis.run(plain("HEXISTS", key, "ttl", read=int)) == (status == "started")


def test_a_result_is_kept_once(server: Any) -> None:
    redis, keys = SyncRedis(server), Keys("results")
    for job_id, ttl in (("a", 60_000), ("b", -1), ("c", 0)):
        assert redis.run(forget_result(keys, job_id)) in (0, 1)
        assert redis.run(read_result(keys, job_id)) is None
        assert redis.run(keep_result(keys, job_id, "finished", b"p1", ttl, About("f", 1.0, 2.0))) == "ok"
    assert redis.run(keep_result(keys, "a", "failed", b"p2", 60_000, About())) == "kept"
    assert [redis.run(read_result(keys, job_id)) for job_id in "abc"] == [
        ("finished", b"p1", About("f", 1.0, 2.0))
    ] * 2 + [None]
    lives = [redis.run(plain("PTTL", keys.result(job_id), read=int)) for job_id in "abc"]
    assert 0 < lives[0] <= 60_000 and lives[1:] == [-1, -2]
    assert redis.run(forget_result(keys, "b")) == 1


# -- children with a place of their own ------------------------------------------------------------------------------


def pass_one(desk: Desk, source: Owner, target: str, incarnation: int, effects: Effects | None = None) -> str:
    return str(
        desk.run(
            pass_children(
                desk.keys, 0, source, target, incarnation, ["c"], handover_id="h", closed_at_ms=1.0,
                effects=effects or Effects(), events_kept=KEPT,
            )
        )
    )  # fmt: skip


def test_passing_a_child_pins_it_and_renews_the_token_of_its_shard(desk: Desk) -> None:
    a, b = desk.join("a"), desk.join("b")
    desk.claim("a", a, 0)
    desk.start("c", "d")
    source = Owner("a", a, 1)
    assert pass_one(desk, source, "b", b, Effects(states={"c": b"1 attributes 0\nx"})) == "passed"
    assert pass_one(desk, source, "b", b) == "passed"  # the answer was lost
    owners = desk.run(read_owners(desk.keys))
    assert owners.shards[0] == Owner("a", a, 2) and owners.pins == {(0, "c"): Owner("b", b, 2)}
    assert set(desk.run(read_states(desk.keys, 0))) == {"c"}
    # Neither a late commit of the shard, nor another pass with the old token, changes anything.
    assert desk.run(commit_shard(desk.keys, 0, None, source, Effects(states={"c": b"old"}))) == "fenced"
    assert pass_one(desk, Owner("a", a, 7), "b", b) == "fenced"
    assert pass_one(desk, Owner("a", a, 2), "nobody", 9) == "target_gone"
    assert desk.run(read_owners(desk.keys)) == owners
    # Back, and away again: the second pin has a token that the first never had.
    released = release_pin(desk.keys, 0, "c", Owner("b", b, 2), closed_at_ms=1.0, effects=Effects(), events_kept=KEPT)
    assert desk.run(released) == "released"
    assert pass_one(desk, Owner("a", a, 2), "b", b) == "passed"
    assert desk.run(read_owners(desk.keys)).pins == {(0, "c"): Owner("b", b, 3)}
    assert desk.run(commit_shard(desk.keys, 0, "c", Owner("b", b, 2), Effects(states={"c": b"old"}))) == "fenced"


def test_a_wish_is_for_a_child_and_a_node_that_are_there(desk: Desk) -> None:
    desk.join("a")
    wish = Wish("a", "moved")

    def want(child: str, wish: Wish | None) -> str:
        return str(desk.run(want_place(desk.keys, 0, child, wish, KEPT)))

    assert want("c", wish) == "unknown"
    desk.start("c")
    assert want("c", Wish("b", "moved")) == "no_node"
    assert desk.run(read_pins_epoch(desk.keys)) == 0
    assert want("c", wish) == "ok"
    assert desk.run(read_wishes(desk.keys)) == {"c": wish}
    assert want("c", None) == "ok"
    assert desk.run(read_wishes(desk.keys)) == {} and desk.run(read_pins_epoch(desk.keys)) == 2
    desk.run(drain_node(desk.keys, "a", None, KEPT))
    assert want("c", wish) == "draining"
