"""Reminders in Redis: what commits and clients set, and what the firing script makes of it, on the grid and once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hubq.core.reminders import Fired, Reminder, Timing, fire
from hubq.store.connection import SyncRedis
from hubq.store.effects import Effects, Numbered
from hubq.store.keys import Keys
from hubq.store.mailbox import read_range
from hubq.store.membership import redis_time_ms
from hubq.store.message import sender_of
from hubq.store.owners import Owner, commit_shard, pass_token
from hubq.store.reminders import (
    AT_ONCE,
    NEVER,
    Later,
    Reminded,
    fire_reminders,
    read_next_due,
    read_page,
    read_reminder_names,
    read_reminders,
    send_reminders,
)

from .script_drives import World

MINUTE = 60_000


class Clock(World):
    """Shard 0 has the children ``x`` and ``y``, with nothing in their mailboxes."""

    def __init__(self, keys: Keys, redis: SyncRedis) -> None:
        super().__init__(keys, redis)
        for child in ("x", "y"):
            self.raw("HSET", keys.children(0), child, b'{"name":"Room","module":"m","start_id":"s:1"}\n')

    def now(self) -> int:
        return int(self.run(redis_time_ms()))

    def commit(self, *said: Reminded, number: int | None = None, ended: dict[str, str] | None = None) -> str:
        numbered = None if number is None else Numbered("a", self.a, number, "0")
        effects = Effects(said=list(said), numbered=numbered, ended=ended or {})
        return str(self.run(commit_shard(self.keys, 0, None, self.owner, effects)))

    def fire(self, max_backlog: int = 100) -> Any:
        return self.run(fire_reminders(self.keys, 0, self.owner, max_backlog))

    def messages(self, kind: str = "cast") -> list[tuple[str, str, bytes]]:
        found = self.run(read_range(self.keys, 0, b"0", b"+", 1000))
        return [(m.child, m.method, m.payload) for m in found if m.kind == kind]

    def told(self) -> list[int]:
        """For when the owner of the shard was told to look."""
        return [m.deadline for m in self.run(read_range(self.keys, 0, b"0", b"+", 1000)) if m.kind == "remind"]

    def waiting(self, child: str) -> dict[str, Reminder]:
        members = self.run(read_reminder_names(self.keys, 0, child))
        if not members:
            return {}
        return {one.name: one for one in self.run(read_reminders(self.keys, 0, members)).values()}

    def empty(self) -> bool:
        return not any(self.raw("EXISTS", key) for key in self.keys.reminder_keys(0))


@pytest.fixture
def clock(server: Any, make_hub: Any) -> Iterator[Clock]:
    redis = SyncRedis(server)
    yield Clock(Keys(make_hub().hub_id), redis)
    redis.close()


def at(due_ms: int, name: str = "close", every_ms: int = 0, late: str = "once", child: str = "x") -> Reminded:
    return Reminded(child, name, Timing(due_ms, every_ms), late, "close", b"p" + name.encode())


def test_a_reminder_becomes_a_message_at_its_time_and_then_nothing_is_left_of_it(clock: Clock) -> None:
    due = clock.now()
    assert clock.commit(at(due), at(due + MINUTE, "later")) == "ok"
    firing = clock.fire()
    assert (firing.fired, firing.next_ms) == (1, due + MINUTE)
    assert clock.messages() == [("x", "close", b"pclose")]
    (message,) = [m for m in clock.run(read_range(clock.keys, 0, b"0", b"+", 9)) if m.kind == "cast"]
    assert sender_of(message.id, message.reply_to) == "reminder close" and message.deadline == 0
    assert clock.raw("HGET", clock.keys.backlog(0), "x") == b"1"
    assert set(clock.waiting("x")) == {"later"}
    assert clock.fire().fired == 0
    clock.commit(Reminded("x", "later"))
    assert clock.empty() and clock.run(read_next_due(clock.keys, 0)) == NEVER


def test_one_that_is_set_again_replaces_what_was_set_before(clock: Clock) -> None:
    due = clock.now()
    clock.commit(at(due), at(due + 2 * MINUTE))
    assert clock.fire().fired == 0
    assert clock.waiting("x") == {"close": Reminder("x", "close", "close", (due + 2 * MINUTE) / 1000)}


def test_a_commit_that_is_repeated_under_its_number_sets_nothing_again(clock: Clock) -> None:
    for _ in range(2):
        assert clock.commit(at(clock.now()), number=1) == "ok"
        clock.fire()
    assert len(clock.messages()) == 1


def test_ticks_lie_on_the_grid_whenever_they_are_fired(clock: Clock) -> None:
    now = clock.now()
    for late in ("once", "all", "skip"):
        clock.commit(*(at(now - 150_000, f"{late}-{every}", every, late) for every in (0, MINUTE, 7_001)))
    clock.fire()
    sent = {payload.decode()[1:] for _, _, payload in clock.messages()}
    left = {name: round(one.due * 1000) for name, one in clock.waiting("x").items()}
    after = clock.now()
    for late in ("once", "all", "skip"):
        for every in (0, MINUTE, 7_001):
            name, timing = f"{late}-{every}", Timing(now - 150_000, every)
            # (Time goes on between the commit and the script.)
            assert Fired(name in sent, left.get(name)) in {fire(timing, late, at_ms) for at_ms in range(now, after + 1)}


def test_with_all_each_tick_that_nobody_was_there_for_is_a_message_of_its_own(clock: Clock) -> None:
    due = clock.now() - 3_500
    clock.commit(at(due, every_ms=1_000, late="all"))
    fired = 0
    for _ in range(5):
        fired += clock.fire().fired
    assert fired == len(clock.messages()) >= 4
    assert (clock.waiting("x")["close"].due * 1000 - due) % 1_000 == 0


def test_a_full_mailbox_makes_it_wait_and_it_keeps_its_place_on_the_grid(clock: Clock) -> None:
    due = clock.now()
    clock.raw("HSET", clock.keys.backlog(0), "x", 5)
    clock.commit(at(due, every_ms=MINUTE), at(due, child="y"))
    firing = clock.fire(max_backlog=5)
    assert firing.fired == 1 and [child for child, _, _ in clock.messages()] == ["y"]
    assert 0 < firing.next_ms - firing.now_ms <= 1_000
    assert clock.waiting("x")["close"].due == due / 1000
    clock.raw("HSET", clock.keys.backlog(0), "x", 4)
    clock.raw("ZADD", clock.keys.reminder_keys(0)[0], due, "x\nclose")  # a second later
    assert clock.fire(max_backlog=5).next_ms == due + MINUTE
    assert len(clock.messages()) == 2


def test_the_end_of_a_child_takes_its_reminders_and_no_others(clock: Clock) -> None:
    due = clock.now() + MINUTE
    clock.commit(*(at(due, f"n{n}", child=child) for child in ("x", "y") for n in range(3)))
    clock.raw("HSET", clock.keys.children(0), "x 1", b'{"name":"Room","module":"m","start_id":"s:1"}\n')
    clock.commit(at(due, child="x 1"))
    clock.commit(at(due, "one more"), ended={"x": "s:1"})  # it said that with its last message
    assert clock.waiting("x") == {} and len(clock.waiting("y")) == 3 and len(clock.waiting("x 1")) == 1
    clock.commit(ended={"y": "s:1", "x 1": "s:1"})
    assert clock.empty()


def test_the_owner_is_told_of_what_is_due_before_all_others(clock: Clock) -> None:
    due = clock.now() + MINUTE
    clock.commit(at(due), at(due + 5, "later"), at(due - 5, "before"), at(due - 5, "as early"))
    assert clock.told() == [due, due - 5]
    assert clock.run(read_next_due(clock.keys, 0)) == due - 5


def test_a_commit_that_passes_the_token_takes_reminders_along(clock: Clock) -> None:
    b, due = clock.join("b"), clock.now() + MINUTE
    command = pass_token(
        clock.keys, 0, clock.owner, "b", b, handover_id="h", closed_at_ms=1.0, pinned={}, effects=Effects(said=[at(due)]),
        events_kept=100,
    )  # fmt: skip
    assert clock.run(command) == "passed"
    assert set(clock.waiting("x")) == {"close"}
    assert clock.run(fire_reminders(clock.keys, 0, clock.owner, 9)) is None  # another owns it now
    assert clock.run(fire_reminders(clock.keys, 0, Owner("b", b, 2), 9)).fired == 0


def test_many_that_are_due_are_fired_in_parts_the_earliest_first(clock: Clock) -> None:
    due = clock.now() - 1_000
    clock.commit(*(at(due + n, f"n{n}") for n in range(AT_ONCE + 7)))
    first = clock.fire(max_backlog=1_000)
    assert (first.fired, first.next_ms) == (AT_ONCE, due + AT_ONCE)
    assert clock.fire(max_backlog=1_000).fired == 7
    assert [payload for _, _, payload in clock.messages()] == [b"pn%d" % n for n in range(AT_ONCE + 7)]


def test_a_client_sets_and_cancels_under_its_numbers(clock: Clock) -> None:
    def send(seq: int, *words: Any) -> str:
        (word,) = clock.run(send_reminders(clock.keys, "s", {0: [(seq, Later(*words))]}, MINUTE))
        return str(word)

    now = clock.now()
    assert send(101, "x", "n", "after", MINUTE, "close", b"p") == "ok"
    assert send(101, "x", "n", "after", MINUTE, "close", b"p") == "duplicate"
    assert 0 <= clock.waiting("x")["n"].due * 1000 - now - MINUTE < 5_000
    assert send(102, "x", "n", "cancel", 0) == "ok"
    assert send(102, "x", "n", "cancel", 0) == "duplicate"
    assert send(103, "x", "n", "cancel", 0) == "gone"
    assert send(104, "x", "n", "at", now + 5, "close", b"p") == "ok"
    assert send(105, "x", "n", "at", now - 60_000, "close", b"p").startswith("past ")
    assert send(106, "nobody", "n", "after", 5, "close", b"p") == "unknown"
    assert clock.empty() is False


def test_what_others_have_written_is_deleted_and_told_and_the_rest_fires(clock: Clock) -> None:
    due, what, names = clock.keys.reminder_keys(0)
    clock.commit(at(clock.now()))
    clock.raw("ZADD", due, 1, "x\nno record", 1, "no name", 1, b"\xff\n\xff", 1, "x\nodd")
    clock.raw("HSET", what, "x\nodd", "soon 0 once close\n")
    clock.raw("ZADD", names, 0, "x\nodd")
    assert clock.run(read_reminders(clock.keys, 0, [b"x\nodd", b"x\nnone"])).malformed
    firing = clock.fire()
    assert firing.fired == 1 and len(firing.malformed) == 4
    assert clock.empty()
    clock.raw("ZADD", due, "+inf", "x\nnever")
    assert clock.fire().next_ms == clock.run(read_next_due(clock.keys, 0)) == NEVER


def test_a_page_has_the_next_ones_first(clock: Clock) -> None:
    due = clock.now() + MINUTE
    clock.commit(*(at(due - n, f"n{n}") for n in range(5)))
    assert clock.run(read_page(clock.keys, 0, 1, 2)) == [b"x\nn3", b"x\nn2"]
