"""What a commit says to children of another group: numbered in the commit, and taken once by the other group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from hubq.store.connection import SyncRedis
from hubq.store.effects import Effects, Numbered
from hubq.store.far import FarMessage, SentFar, delete_far, far_length, read_far, receive_far
from hubq.store.keys import Keys
from hubq.store.mailbox import read_range
from hubq.store.owners import commit_shard
from hubq.store.saying import SayingLimits

from .script_drives import World

ROOM = SayingLimits(max_backlog=100, dead_kept=10)


class Sides:
    """Shard 0 of group 0 sends to ``x`` and ``y`` of shard 1, in group 1. Both groups are in one Redis."""

    def __init__(self, hub_id: str, redis: SyncRedis) -> None:
        self.source = World(Keys(hub_id, 0, 2), redis)
        self.target = Keys(hub_id, 1, 2)
        for child in ("x", "y"):
            self.source.raw("HSET", self.target.children(1), child, b'{"name":"Room","module":"m","start_id":"s:1"}\n')

    def commit(self, *casts: tuple[str, str], generation: str = "life.1", number: int | None = None) -> None:
        world = self.source
        numbered = None if number is None else Numbered("a", world.a, number, "0")
        said = [SentFar("s", 1, 1, child, method, b"p", b"", generation) for child, method in casts]
        effects = Effects(said=list(said), numbered=numbered)
        assert world.run(commit_shard(world.keys, 0, None, world.owner, effects)) == "ok"

    def waiting(self) -> list[FarMessage]:
        return list(self.source.run(read_far(self.source.keys, 0, 1, range(1, 2))).found.values())

    def receive(self, messages: Sequence[FarMessage], limits: SayingLimits = ROOM) -> list[bool]:
        taken = self.source.run(receive_far(self.target, 0, messages[0].generation, messages, limits, []))
        return list(taken)

    def forget(self, messages: Sequence[FarMessage]) -> int:
        numbers, keys = [each.number for each in messages], self.source.keys
        return int(self.source.run(delete_far(keys, 0, 1, messages[0].generation, numbers)))

    def mailbox(self) -> list[str]:
        return [message.method for message in self.source.run(read_range(self.target, 1, b"0", b"+", 100))]


@pytest.fixture
def sides(server: Any, make_hub: Any) -> Iterator[Sides]:
    redis = SyncRedis(server)
    yield Sides(make_hub().hub_id, redis)
    redis.close()


def test_numbers_are_given_in_order_and_kept_when_the_stream_is_empty(sides: Sides) -> None:
    sides.commit(("x", "one"), ("y", "two"))
    messages = sides.waiting()
    assert [(each.number, each.method) for each in messages] == [(1, b"one"), (2, b"two")]
    assert sides.receive(messages) == [True, True] and sides.forget(messages) == 0
    sides.commit(("x", "three"))
    assert [each.number for each in sides.waiting()] == [3]
    assert sides.source.run(far_length(sides.source.keys, 0, 1)) == 1


def test_a_commit_that_is_repeated_numbers_nothing_again(sides: Sides) -> None:
    for _ in range(2):
        sides.commit(("x", "one"), number=5)
    assert len(sides.waiting()) == 1


def test_what_is_forwarded_again_is_taken_once(sides: Sides) -> None:
    sides.commit(("x", "one"), ("x", "two"))
    messages = sides.waiting()
    assert sides.receive(messages[:1]) == [True]
    assert sides.receive(messages) == [True, True] == sides.receive(messages)
    assert sides.mailbox() == ["one", "two"]


def test_a_full_mailbox_holds_up_its_child_alone(sides: Sides) -> None:
    sides.commit(("x", "one"), ("x", "two"), ("y", "three"), ("x", "four"))
    one = SayingLimits(max_backlog=1, dead_kept=10)
    messages = sides.waiting()
    assert sides.receive(messages, one) == [True, False, True, False]
    assert sides.receive([each for each in messages if each.number in (2, 4)]) == [True, True]
    assert sides.mailbox() == ["one", "three", "two", "four"]


def test_a_group_that_went_back_gives_numbers_again_and_nothing_is_taken_for_what_was_before(sides: Sides) -> None:
    sides.commit(("x", "one"))
    sides.commit(("x", "lost by the failover"))
    messages = sides.waiting()
    assert sides.receive(messages) == [True, True]
    # The failover: the last commit of the source is gone, and with it the number that it has given.
    stream, number = sides.source.keys.far_keys(0, 1)
    sides.source.raw("DEL", stream)
    sides.source.raw("SET", number, 1)
    sides.commit(("x", "after the failover"), generation="life.2")
    again = sides.waiting()
    assert again[0].number == messages[1].number
    assert sides.receive(again) == [True]
    assert sides.mailbox() == ["one", "lost by the failover", "after the failover"]


def test_what_reappears_far_behind_the_window_had_arrived(sides: Sides) -> None:
    sides.commit(("x", "one"))
    (first,) = sides.waiting()
    assert sides.receive([first]) == [True]
    late = FarMessage(5_000, 1, first.generation, b"s", b"x", b"late", b"p", b"")
    assert sides.receive([late]) == [True]
    assert sides.receive([first]) == [True]
    assert sides.mailbox() == ["one", "late"]
