"""The scripts of what operators do."""

from __future__ import annotations

from hubq.core.pauses import Pause
from hubq.core.regrouping import ASIDE
from hubq.core.wish import Wish
from hubq.store.asks import intervene
from hubq.store.dead_letters import replay_dead
from hubq.store.moves import mark_moving, put_back, set_aside
from hubq.store.pauses import set_pause
from hubq.store.places import want_place
from hubq.store.sealed_fields import write_anew

from .drives import drive
from .world import World, asleep


@drive
def drive_reseal_fields(world: World) -> None:
    world.start(0, "c")
    key = world.keys.children(0)
    before = world.raw("HGET", key, "c")
    assert world.run(write_anew(key, {"c": (b"x", b"y"), "d": (b"", b"y")})) == 0
    assert world.run(write_anew(key, {"c": (before, before)})) == 1


@drive
def drive_want_place(world: World) -> None:
    world.start(0, "c")
    for wish in (Wish("a", "moved"), None):
        assert world.run(want_place(world.keys, 0, "c", wish, 1000)) == "ok"
    asleep(world, "d")
    assert world.run(want_place(world.keys, 0, "d", Wish("a", "moved"), 1000)) == "dormant"
    assert world.run(want_place(world.keys, 0, "d", None, 1000)) == "ok"


@drive
def drive_set_pause(world: World) -> None:
    world.start(0, "c")
    for pause in (Pause("hub"), Pause("class", "Room"), Pause("child", "c", why="w")):
        assert world.run(set_pause(world.keys, 0, pause, True, 1000)).word == "ok"
    for pause in (Pause("child", "c"), Pause("hub"), Pause("class", "Room")):
        assert world.run(set_pause(world.keys, 0, pause, False, 1000)).word == "ok"
    assert world.raw("PTTL", world.keys.pauses) > 0


@drive
def drive_replay_dead(world: World) -> None:
    for entry in world.letters().values():
        assert world.run(replay_dead(world.keys, 0, entry)) == "ok"
    assert world.raw("XLEN", world.keys.control("a")) == 1


@drive
def drive_intervene(world: World) -> None:
    assert world.run(intervene(world.keys, 0, "nobody", "s", "i1", "kill", "")) == ""
    assert world.start(0, "c") == ["ok"]
    assert world.run(intervene(world.keys, 0, "c", "s", "i1", "drop", "1-0")) == "a"
    assert world.raw("XLEN", world.keys.control("a")) == 1
    assert world.start(3, "d") == ["ok"]
    assert world.run(intervene(world.keys, 3, "d", "s", "i2", "kill", "")) == "-"
    asleep(world, "e")
    assert world.run(intervene(world.keys, 0, "e", "s", "i3", "kill", "")) == "~"


@drive
def drive_mark_moving(world: World) -> None:
    world.raw("ZADD", world.keys.leases, 1, "a")
    assert world.run(mark_moving(world.keys, "1", "1 moving 1 4 ab")) == ["ok"]
    assert world.run(mark_moving(world.keys, "1", "1 moving 1 4 cd")) == ["other", "1 moving 1 4 ab"]


@drive
def drive_rename_keys(world: World) -> None:
    names = ["shard:0:mailbox", "shard:0:children", "events", "shard:3:mailbox"]
    world.start(0, "moving")
    assert world.run(set_aside(world.keys, names, "moved")) == 3
    assert world.raw("GET", world.keys.children(0)) == b"moved"
    assert world.run(set_aside(world.keys, names, "moved")) == 0
    assert world.run(put_back(world.keys, names, ASIDE)) == 3
