"""Pauses in Redis: what a change writes, and reminders of paused children that wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hubq.core.pauses import Pause
from hubq.store.connection import SyncRedis
from hubq.store.effects import Effects
from hubq.store.keys import Keys
from hubq.store.owners import commit_shard
from hubq.store.pauses import (
    Changed,
    read_heeded,
    read_pauses,
    read_pauses_number,
    say_heeded,
    set_pause,
)
from hubq.store.reminders import PAUSED_AGAIN_MS, fire_reminders

from .script_drives import World

ROOM = Pause("class", "Room", why="a deploy")


@pytest.fixture
def world(server: Any, make_hub: Any) -> Iterator[World]:
    redis = SyncRedis(server)
    yield World(Keys(make_hub().hub_id), redis)
    redis.close()


def change(world: World, pause: Pause, begins: bool = True) -> Changed:
    changed: Changed = world.run(set_pause(world.keys, 0, pause, begins, 1000))
    return changed


def test_each_change_has_a_number_that_rises(world: World) -> None:
    first, again = change(world, ROOM), change(world, Pause("class", "Room", why="another"))
    assert (first.word, again) == ("ok", Changed("unchanged", first.number))
    assert world.run(read_pauses_number(world.keys)) == first.number
    (pause,) = world.run(read_pauses(world.keys)).values()
    assert (pause.what, pause.name, pause.why) == ("class", "Room", "a deploy") and pause.since > 1e9
    ended = change(world, ROOM, begins=False)
    assert ended.number > first.number and change(world, ROOM, begins=False).word == "unchanged"
    assert change(world, Pause("hub")).number > ended.number


def test_what_is_left_when_nothing_is_paused_expires(world: World) -> None:
    change(world, ROOM)
    assert world.raw("PTTL", world.keys.pauses) == -1
    change(world, ROOM, begins=False)
    assert world.run(read_pauses(world.keys)) == {} and world.raw("PTTL", world.keys.pauses) > 0
    change(world, ROOM)
    assert world.raw("PTTL", world.keys.pauses) == -1


def test_a_child_must_be_there_and_its_pause_ends_with_it(world: World) -> None:
    assert change(world, Pause("child", "x")).word == "unknown"
    world.start(0, "x")
    begun = change(world, Pause("child", "x"))
    assert begun.word == "ok"
    world.run(commit_shard(world.keys, 0, None, world.owner, Effects(ended={"x": "s:1"})))
    assert world.run(read_pauses(world.keys)) == {} and world.run(read_pauses_number(world.keys)) > begun.number


def test_events_tell_of_it(world: World) -> None:
    change(world, ROOM)
    change(world, ROOM, begins=False)
    found = [
        dict(zip(fields[::2], fields[1::2], strict=True))
        for _, fields in world.raw("XRANGE", world.keys.events, "-", "+")
    ]
    told = [(each[b"type"], each[b"what"], each.get(b"why")) for each in found if b"what" in each]
    assert told == [(b"paused", b"class Room", b"a deploy"), (b"resumed", b"class Room", None)]


def test_a_node_says_what_it_heeds(world: World) -> None:
    assert world.run(read_heeded(world.keys, "a")) == (0, 0)
    world.run(say_heeded(world.keys, "a", 7, 99))
    assert world.run(read_heeded(world.keys, "a")) == (7, 99)


@pytest.mark.parametrize("pause", [Pause("hub"), ROOM, Pause("child", "x")])
def test_reminders_of_paused_children_wait_and_are_late_then(world: World, pause: Pause) -> None:
    world.start(0, "x")
    world.raw("DEL", world.keys.mailbox(0))
    change(world, pause)
    assert world.remind(0, "x", "a", 0) == "ok"
    held = world.run(fire_reminders(world.keys, 0, world.owner, 10))
    assert held is not None and held.fired == 0 and world.raw("XLEN", world.keys.mailbox(0)) <= 1
    assert held.now_ms + 1000 <= held.next_ms <= held.now_ms + PAUSED_AGAIN_MS
    change(world, pause, begins=False)
    world.raw("ZADD", world.keys.reminder_keys(0)[0], 1, "x\na")  # it is looked at again
    fired = world.run(fire_reminders(world.keys, 0, world.owner, 10))
    assert fired is not None and fired.fired == 1


def test_the_reminders_of_others_are_fired(world: World) -> None:
    world.start(0, "x", "y")
    change(world, Pause("child", "y"))
    change(world, Pause("class", "Desk"))
    assert world.remind(0, "x", "a", 0) == "ok"
    fired = world.run(fire_reminders(world.keys, 0, world.owner, 10))
    assert fired is not None and fired.fired == 1
