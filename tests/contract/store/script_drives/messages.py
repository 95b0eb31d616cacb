"""The scripts of messages and starts."""

from __future__ import annotations

from hubq.store.asks import withdraw_call
from hubq.store.batches import end_batch, forget_mark, open_batch
from hubq.store.outgoing import Outgoing, send_messages, void_numbers
from hubq.store.spec_record import SpecRecord

from .drives import drive
from .world import World


@drive
def drive_send_messages(world: World) -> None:
    world.start(0, "c")
    world.start(1, "d")
    world.raw("SET", world.keys.partitioned, "since 5")
    messages = {
        0: [(n, Outgoing(kind, "c", "m", b"p", 1.0, True)) for n, kind in ((11, "call"), (12, "stop"))],
        1: [(13, Outgoing("cast", "d", "m", b"p", 0.0, False))],
    }
    command = send_messages(world.keys, "s", messages, sender_ttl_ms=60_000, max_backlog=100)
    assert world.run(command) == ["ok", "partitioned since 5", "ok"]
    spec = SpecRecord(name="Room", module="app", start_id="")
    messages = {0: [(n, Outgoing("cast", f"new-{n}", "m", b"p", 0.0, False, spec)) for n in (14, 15)]}
    command = send_messages(world.keys, "s", messages, sender_ttl_ms=60_000, max_backlog=100)
    assert world.run(command) == ["partitioned since 5"] * 2
    world.raw("DEL", world.keys.partitioned)
    assert world.run(command) == ["ok", "ok"]
    assert world.raw("HGET", world.keys.backlog(0), "new-14") == b"2"


@drive
def drive_void_numbers(world: World) -> None:
    assert world.run(void_numbers(world.keys, "s", [1], 60_000)) == ["void"]


@drive
def drive_start_children(world: World) -> None:
    assert world.start(0, "c", batch="one") == ["ok"]


@drive
def drive_withdraw_call(world: World) -> None:
    assert world.run(withdraw_call(world.keys, 0, "c", "s", "1")) == "a"
    assert world.raw("XLEN", world.keys.asks("a")) == 1 and world.raw("EXISTS", world.keys.control("a")) == 0
    assert world.run(withdraw_call(world.keys, 3, "c", "s", "1")) == "-"


@drive
def drive_end_batch(world: World) -> None:
    for batch, decision in (("one", "seal"), ("two", "undo")):
        world.run(open_batch(world.keys, batch, 60_000))
        assert world.run(end_batch(world.keys, batch, decision, 1)) in ("sealed", "undone")


@drive
def drive_forget_mark(world: World) -> None:
    world.start(0, "c", batch="one")
    world.run(open_batch(world.keys, "one", 60_000))
    world.run(end_batch(world.keys, "one", "seal", 1))
    world.run(forget_mark(world.keys, 0, "s:1", "one"))
    assert world.raw("PTTL", world.keys.batch("one")) > 0
