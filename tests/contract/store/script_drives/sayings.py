"""The scripts of what children say besides: drafts, jobs, points, progress, results."""

from __future__ import annotations

from hubq.store.command import run_script, text
from hubq.store.drafts import Handling, publish_drafts, read_drafts, retract_drafts
from hubq.store.history import Point, read_points, write_point
from hubq.store.owners import (
    Owner,
)
from hubq.store.progress import note_progress
from hubq.store.results import About, keep_result
from hubq.store.waiting_jobs import OutboxMessage, take_jobs

from .drives import drive
from .world import World


@drive
def drive_publish_drafts(world: World) -> None:
    world.start(0, "c")
    entry = world.send(0, "c").decode()
    events = [("word", b"j1"), ("word", b"j2")]
    earlier, later = (Handling(0, "c", entry, name) for name in ("a#1:1", "a#1:2"))

    def publish(handling: Handling, first: int = 1, owner: Owner = world.owner) -> str:
        return str(world.run(publish_drafts(world.keys, None, owner, handling, 10, first, events)))

    world.raw("XADD", world.keys.feed(0, "c"), f"{1 << 60}-1", "topic", "t", "data", "d")  # hubq has not written that
    assert publish(earlier) == publish(earlier) == publish(later) == publish(later, 2) == "ok"
    topics = [fields[1] for _, fields in world.raw("XRANGE", world.keys.feed(0, "c"), "-", "+")]
    assert topics == [b"word", b"word", b"hubq-retract", b"word", b"word", b"word"]
    assert world.raw("HGET", world.keys.drafts(0), later.field) == b"a#1:2 3"
    assert publish(later, owner=Owner("b", 1, 1)) == "fenced"
    assert publish(Handling(0, "c", "1-1", "a#1:3")) == "over"
    world.raw("DEL", world.keys.feed(0, "c"))
    world.raw("XADD", world.keys.feed(0, "c"), "5-1", "end", "1")
    world.beyond("c")
    assert publish(later, 9) == "ok"


@drive
def drive_retract_drafts(world: World) -> None:
    world.start(0, "c")
    handling = Handling(0, "c", world.send(0, "c").decode(), "a#1:1")
    world.run(publish_drafts(world.keys, None, world.owner, handling, 10, 1, [("word", b"j1")]))
    assert list(world.run(read_drafts(world.keys, 0)).values()) == [handling]
    assert world.run(retract_drafts(world.keys, None, Owner("b", 1, 1), handling)) == "fenced"
    for word in ("ok", "gone"):
        assert world.run(retract_drafts(world.keys, None, world.owner, handling)) == word
    assert world.raw("EXISTS", world.keys.drafts(0)) == 0
    world.run(publish_drafts(world.keys, None, world.owner, handling, 10, 1, [("word", b"j1")]))
    world.beyond("c")
    assert world.run(retract_drafts(world.keys, None, world.owner, handling)) == "ok"
    world.raw("XADD", world.keys.feed(0, "x"), f"{1 << 60}-1", "topic", "t", "data", "d")  # hubq has not written that
    world.raw("HSET", world.keys.drafts(0), "x\n1-0", "a#1:2 1")
    assert world.run(retract_drafts(world.keys, None, world.owner, Handling(0, "x", "1-0", "a#1:2"))) == "ok"


@drive
def drive_take_jobs(world: World) -> None:
    message = OutboxMessage(0, "x", "job:k", "run_job", b"p", b"{}\n")
    far = OutboxMessage(0, "x", "job:k", "run_job", b"p", b"{}\n", 1, "x.1")
    world.raw("XADD", world.keys.jobs(0), "0-1", "sender", "x", "id", "j", "key", "k", "record", b"")
    assert world.run(take_jobs(world.keys, 0, {"0-1": far})) == 0
    assert world.raw("XLEN", world.keys.far_keys(0, 1)[0]) == 1
    for entry in ("1-0", "2-0"):
        world.raw("XADD", world.keys.jobs(0), entry, "sender", "x", "id", "j", "key", "k", "record", b"")
    assert world.run(take_jobs(world.keys, 0, {"1-0": message, "7-0": message})) == 1
    assert world.run(take_jobs(world.keys, 0, {"1-0": message, "2-0": None})) == 0
    assert world.raw("XLEN", world.keys.outbox(0)) == 1 and world.raw("EXISTS", world.keys.jobs(0)) == 0


@drive
def drive_keep_job(world: World) -> None:
    key = world.keys.result("rq")
    world.raw("HSET", key, "status", "queued", "ttl", "60")
    assert world.run(run_script("keep_job", [key], [], text)) == "kept"


@drive
def drive_note_job(world: World) -> None:
    key = world.keys.result("rq")
    assert world.run(run_script("note_job", [key], ["hubq_progress", "[1, 2]"], text)) == "gone"
    world.raw("HSET", key, "status", "started")
    assert world.run(run_script("note_job", [key], ["hubq_progress", "[1, 2]"], text)) == "ok"
    assert world.raw("HGET", key, "hubq_progress") == b"[1, 2]"


@drive
def drive_note_point(world: World) -> None:
    point = Point(incarnation=1, handled=2, failed=0, commits=2, cpu=0.5, memory=100, children=1, waiting=0, lag=0.0)
    assert world.run(write_point(world.keys, "a", point)) == 1
    assert [told.handled for told in world.run(read_points(world.keys, "a"))] == [2]
    assert world.raw("PTTL", world.keys.history("a")) > 0


@drive
def drive_note_progress(world: World) -> None:
    world.start(0, "c", "d")
    assert world.run(note_progress(world.keys, 0, [("c", 3, "[1]"), ("d", 3, "[1]"), ("gone", 3, "[1]")])) == 2
    assert world.run(note_progress(world.keys, 0, [("c", 2, "[2]"), ("d", 4, "")])) == 0
    world.raw("HSET", world.keys.progress(0), "gone", "1 [1]")
    assert world.run(note_progress(world.keys, 0, [("c", 3, "[1]")])) == 1
    assert world.raw("HGETALL", world.keys.progress(0)) in ({b"c": b"3 [1]"}, [b"c", b"3 [1]"])
    assert world.raw("PTTL", world.keys.progress(0)) > 0


@drive
def drive_keep_result(world: World) -> None:
    assert world.run(keep_result(world.keys, "job", "finished", b"p", 60_000, About("f", 1.0, 2.0))) == "ok"
