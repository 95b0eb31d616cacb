"""The scripts of crashes, and copies."""

from __future__ import annotations

from hubq.core.replication import LogPosition
from hubq.store.mailbox import read_range
from hubq.store.owners import (
    Owner,
)
from hubq.store.replica_log import follow_shard, report_replica, unfollow_shard
from hubq.store.tries import Suspect, absolve_node, blame, end_watch, mark_tries

from .drives import drive
from .world import KEPT, World


@drive
def drive_mark_tries(world: World) -> None:
    world.raw("HSET", world.keys.tries(0), "watch", "0-0 open x#9")
    marks = {"message c": "1-0 1 a#1", "message d": ""}
    assert world.run(mark_tries(world.keys, 0, None, world.owner, marks)) == "ok"


@drive
def drive_end_watch(world: World) -> None:
    assert world.run(end_watch(world.keys, 0, world.owner)) == "over"
    world.start(0, "c")
    for last, word in (("+", "watching"), ("0-1", "over")):
        entry = world.run(read_range(world.keys, 0, b"0", b"+", 9))[-1].entry.decode() if last == "+" else last
        world.raw("HSET", world.keys.tries(0), "watch", f"{entry} starting x#9")
        assert world.run(end_watch(world.keys, 0, world.owner)) == word


@drive
def drive_absolve_node(world: World) -> None:
    world.letters()
    crash = f"b#{world.a + 1}"
    world.raw("HSET", world.keys.tries(0), "start lame", f"- 1 - {crash}")
    assert world.run(absolve_node(world.keys, [0, 1], "b", world.a + 1)) > 2
    assert world.raw("XLEN", world.keys.control("a")) == 1
    world.raw("HSET", world.keys.tries(0), "watch", f"1-0 open {crash}")
    spared = Suspect(0, None, Owner("b", world.a + 1, 1), "message held", "1-0")
    assert world.run(absolve_node(world.keys, [0], "b", world.a + 1, spared)) == 0
    assert world.raw("HGET", world.keys.tries(0), "message held") == f"1-0 1 - {crash}".encode()


@drive
def drive_blame_suspect(world: World) -> None:
    world.start(0, "c")
    entry = world.send(0, "c").decode()
    world.raw("HSET", world.keys.backlog(0), "c", 1)
    world.raw("HSET", world.keys.tries(0), "message c", f"{entry} 1 - x#9", "start c", "- 1 - x#9")
    for field, at in (("message c", entry), ("start c", "-")):
        suspect = Suspect(0, None, world.owner, field, at)
        assert world.run(blame(world.keys, suspect, KEPT)) == "counted"
        world.raw("HSET", world.keys.tries(0), field, f"{at} 2 - x#8 x#9")
        assert world.run(blame(world.keys, suspect, KEPT)) == "condemned"


@drive
def drive_follow_shard(world: World) -> None:
    assert world.run(follow_shard(world.keys, 0, "a", world.a, 60_000)) is not None


@drive
def drive_report_replica(world: World) -> None:
    b = world.join("b")
    for node, incarnation in (("a", world.a), ("b", b)):
        world.run(follow_shard(world.keys, 0, node, incarnation, 60_000))
    world.die("b")
    assert world.run(report_replica(world.keys, 0, "a", world.a, 60_000, LogPosition(1, "1-0"), True)) is not None
    assert world.raw("HEXISTS", world.keys.replicas(0), "b") == 0


@drive
def drive_unfollow_shard(world: World) -> None:
    world.run(follow_shard(world.keys, 0, "a", world.a, 60_000))
    assert world.run(unfollow_shard(world.keys, 0, "a", world.a)) == "left"
