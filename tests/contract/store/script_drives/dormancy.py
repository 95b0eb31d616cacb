"""The scripts of children that rest, and reminders."""

from __future__ import annotations

import math

from hubq.core.pauses import Pause
from hubq.core.reminders import Timing
from hubq.core.wish import Wish
from hubq.store.dormant import (
    Expired,
    Resting,
    expire_children,
    read_expiring,
    read_next_expiry,
    rest_children,
    wake_children,
)
from hubq.store.effects import Effects
from hubq.store.owners import (
    Owner,
    commit_shards,
)
from hubq.store.pauses import set_pause
from hubq.store.places import want_place
from hubq.store.reminders import Reminded, fire_reminders

from .drives import drive
from .world import World, asleep


@drive
def drive_rest_children(world: World) -> None:
    asleep(world, "c", "d", expires=17)
    assert world.raw("ZSCORE", world.keys.expiring(0), "c") == b"17"
    world.start(0, "moved")
    world.raw("DEL", world.keys.backlog(0))
    assert world.run(want_place(world.keys, 0, "moved", Wish("a", "moved"), 1000)) == "ok"
    rests = [Resting("moved", "s:1"), Resting("c", "s:1"), Resting("nobody", "s:1")]
    assert world.run(rest_children(world.keys, 0, world.owner, rests)) == [False, True, False]


@drive
def drive_wake_children(world: World) -> None:
    asleep(world, "c", "d")
    found = world.run(wake_children(world.keys, 0, world.owner, ["c", "d", "none"], again=False))
    assert list(found) == ["c", "d"]
    assert found["c"].state.data == b"s" and found["d"].state is None


@drive
def drive_expire_children(world: World) -> None:
    asleep(world, "c", "d", expires=17)
    assert world.run(set_pause(world.keys, 0, Pause("child", "c"), True, 1000)).word == "ok"
    world.raw("HSET", world.keys.backlog(0), "d", 1)
    assert world.remind(0, "c", "x", 500) == "ok"
    world.raw("XADD", world.keys.feed(0, "c"), "1-1", "topic", "t", "data", "d")
    world.raw("HSET", world.keys.pins, "c", "b moved")
    assert world.run(read_next_expiry(world.keys, 0)) == 17 and world.run(read_expiring(world.keys, 0, 16)) == []
    children = world.run(read_expiring(world.keys, 0, 17))
    assert children == ["c", "d"]
    assert world.run(expire_children(world.keys, 0, world.owner, [*children, "none"])) == Expired(("c",), None)
    asleep(world, "e", expires=17)
    world.raw(
        "XADD", world.keys.feed(0, "e"), "9999999999999999-1", "topic", "t", "data", "d"
    )  # hubq has not written that
    assert world.run(expire_children(world.keys, 0, world.owner, ["e"])) == Expired(("e",), None)
    asleep(world, "f", expires=17)
    world.raw("XADD", world.keys.feed(0, "f"), "1-1", "topic", "t", "data", "d")
    world.beyond("f")
    assert world.run(expire_children(world.keys, 0, world.owner, ["f"])) == Expired(("f",), None)
    assert [entry[1] for entry in world.raw("XRANGE", world.keys.feed(0, "f"), "-", "+")] == [[b"end", b"1"]]
    assert world.raw("EXISTS", world.keys.pins, *world.keys.reminder_keys(0)) == 0
    assert world.raw("XLEN", world.keys.feed(0, "c")) == 2, "its readers are told that it has ended"
    assert world.run(read_next_expiry(world.keys, 0)) == math.inf


@drive
def drive_send_reminders(world: World) -> None:
    world.start(0, "c")
    assert [world.remind(0, "c", name, 500) for name in ("x", "y")] == ["ok", "ok"]
    assert [world.remind(0, "c", name, 0, "cancel") for name in ("x", "z")] == ["ok", "gone"]
    assert world.remind(0, "c", "p", 1, "at").startswith("past ")
    assert world.remind(0, "none", "x", 500) == "unknown"
    asleep(world, "sleepy")
    assert world.remind(0, "sleepy", "x", 500) == "ok"


@drive
def drive_fire_reminders(world: World) -> None:
    world.start(0, "c", "full", "gone", "paused")
    world.run(set_pause(world.keys, 0, Pause("child", "paused"), True, 1000))
    for child in ("c", "full", "gone", "paused"):
        assert world.remind(0, child, "x", 0) == "ok"
    said = [Reminded("c", "every", Timing(1, 1 << 40), "once", "post", b"p")]
    (command,) = commit_shards(world.keys, [(0, None, world.owner, Effects(said=list(said)))])
    assert world.run(command) == ["ok"]
    world.raw("HSET", world.keys.backlog(0), "full", 9, "c", 0)
    world.raw("HDEL", world.keys.children(0), "gone")
    firing = world.run(fire_reminders(world.keys, 0, world.owner, 9))
    assert firing is not None and (firing.fired, len(firing.malformed)) == (2, 1)
    assert firing.now_ms < firing.next_ms <= firing.now_ms + 1_000
    assert world.run(fire_reminders(world.keys, 0, Owner("b", 1, 1), 9)) is None
    asleep(world, "sleepy")
    assert world.remind(0, "sleepy", "x", 0) == "ok"
    world.raw("HSET", world.keys.backlog(0), "full", 9)  # it is tried again by now, on a slow machine
    firing = world.run(fire_reminders(world.keys, 0, world.owner, 9))
    assert (firing.fired, firing.malformed) == (1, ()), "a dormant child is woken"
