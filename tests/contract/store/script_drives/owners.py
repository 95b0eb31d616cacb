"""The scripts of owners of shards, and what their commits and moves write."""

from __future__ import annotations

from hubq.store.effects import Effects
from hubq.store.far import FarMessage, delete_far, receive_far
from hubq.store.outbox import forward_outbox, read_outbox
from hubq.store.owners import (
    Owner,
    claim_shards,
    commit_shards,
    park_shard,
    pass_token,
    release_pin,
    renew_tokens,
)
from hubq.store.places import pass_children
from hubq.store.saying import SayingLimits

from .drives import drive
from .world import KEPT, World


@drive
def drive_claim_shards(world: World) -> None:
    b = world.join("b")
    world.in_hand("a", world.a)
    world.pin(0, "pinned", "a", world.a)
    world.die("a")
    assert world.run(claim_shards(world.keys, "b", b, [0, 3], [(0, "pinned")], KEPT)) == {0: 2, 3: 1}


@drive
def drive_dissolve_pins(world: World) -> None:
    assert set(world.letters()) == {"call", "start"}


@drive
def drive_renew_tokens(world: World) -> None:
    renewal = (0, None, world.owner, Owner("a", world.a, 2))
    assert world.run(renew_tokens(world.keys, "a", [renewal], 100)) == ["renewed"]


@drive
def drive_commit_shards(world: World) -> None:
    commits = [(shard, None, world.owner, effects) for shard, effects in world.everything()]
    fenced = (1, "c", world.owner, commits[0][3])
    (command,) = commit_shards(world.keys, [fenced, *commits])
    assert world.run(command) == ["fenced", "held", "ok"]
    for key in (world.keys.pins, world.keys.children(0)):
        assert world.raw("HEXISTS", key, "old0") == 0
    assert [world.raw("LLEN", world.keys.reply(client)) for client in "st"] == [1, 1]
    assert world.raw("XLEN", world.keys.log(0)) == 1
    commit_plain_effects(world)
    commit_with_cuts(world)


def commit_with_cuts(world: World) -> None:
    """All that was in the mailboxes is done, or it is asked whether it is."""
    world.raw("HSET", world.keys.owners, "2", world.owner.line)
    world.start(2, "cut", "others")
    entries, others = [world.send(2, "cut") for _ in range(2)], [world.send(2, "others") for _ in range(2)]
    asks = Effects(done={"others": others}, asked_at=4)
    (command,) = commit_shards(world.keys, [(2, None, world.owner, asks)])
    assert world.run(command) == ["ok"], "something is left"
    first = [entry for entry, _ in world.raw("XRANGE", world.keys.mailbox(2), "-", "+", "COUNT", 1)]
    cuts = Effects(done={"cut": [*first, *entries]}, cut=entries[-1] + b"1", states={"cut": b"1 attributes 0\ns"})
    (command,) = commit_shards(world.keys, [(2, None, world.owner, cuts)])
    assert world.run(command) == ["ok"] and world.raw("XLEN", world.keys.mailbox(2)) == 0
    (command,) = commit_shards(world.keys, [(2, None, world.owner, asks)])
    assert world.run(command) == ["empty"]


def commit_plain_effects(world: World) -> None:
    """Messages that are done, states and replies, and nothing else."""
    world.start(0, "started", "plain", "other")  # (the start message counts for the first)
    entries, other = [world.send(0, "plain") for _ in range(3)], world.send(0, "other")
    effects = Effects(
        done={"plain": entries[:2], "other": [other]},
        states={"plain": b"1 attributes 0\ns"},
        replies={"u": [b"r", b"r"]},
    )
    saved = Effects(states={"kept": b"1 attributes 0\ns"})
    commits = [(0, "plain", world.owner, effects), (0, None, world.owner, effects), (1, None, world.owner, saved)]
    for _ in range(2):  # the second time as if the answer to the first had been lost
        (command,) = commit_shards(world.keys, commits)
        assert world.run(command) == ["fenced", "ok", "ok"]
        assert world.raw("HGET", world.keys.backlog(0), "plain") == b"1"
        assert world.raw("HEXISTS", world.keys.backlog(0), "other") == 0
    assert world.raw("HEXISTS", world.keys.msk(0), "plain") == world.raw("HEXISTS", world.keys.msk(1), "kept") == 1
    assert world.raw("LLEN", world.keys.reply("u")) == 4
    (command,) = commit_shards(world.keys, [(0, None, world.owner, Effects(done={"plain": entries}))])
    assert world.run(command) == ["ok"]
    assert not world.raw("HEXISTS", world.keys.backlog(0), "plain"), "counted, since some were gone already"


@drive
def drive_forward_outbox(world: World) -> None:
    effects = Effects(said=world.sent(), limits=SayingLimits(max_backlog=0))
    (command,) = commit_shards(world.keys, [(0, None, world.owner, effects)])
    assert world.run(command) == ["held"]
    waiting = world.run(read_outbox(world.keys, 0, range(9))).found
    world.raw("HDEL", world.keys.children(1), "roomy", "new")
    done = world.run(forward_outbox(world.keys, 0, waiting, SayingLimits(max_backlog=5)))
    assert (done.moved, done.left, done.passed_over) == (3, 0, ())


@drive
def drive_receive_far(world: World) -> None:
    sent = world.sent()
    messages = [
        FarMessage(n, each.shard, "x.1", b"s", each.child.encode(), b"post", each.payload, each.spec)
        for n, each in enumerate(sent, 1)
    ]
    command = receive_far(world.keys, 3, "x.1", messages, SayingLimits(max_backlog=1), [])
    assert world.run(command) == [True, False, False, True]
    assert world.run(receive_far(world.keys, 3, "x.1", messages[:2], SayingLimits(max_backlog=5), [])) == [True, True]


@drive
def drive_delete_far(world: World) -> None:
    stream, _ = world.keys.far_keys(0, 1)
    for number in (1, 2):
        world.raw("XADD", stream, f"{number}-0", "shard", "1", "generation", "x.1")
    assert world.run(delete_far(world.keys, 0, 1, "x.2", [1])) == 2
    assert world.run(delete_far(world.keys, 0, 1, "x.1", [1])) == 1
    assert world.run(delete_far(world.keys, 0, 1, "x.1", [1, 2])) == 0
    assert world.raw("EXISTS", stream) == 0


@drive
def drive_park_shard(world: World) -> None:
    for shard, effects in world.everything():
        assert world.run(park_shard(world.keys, shard, None, world.owner, effects, 1000)) == "parked"
    assert world.run(park_shard(world.keys, 2, "c", world.pin(2, "c", "a", world.a), Effects(), 1000)) == "parked"


@drive
def drive_pass_token(world: World) -> None:
    b = world.join("b")
    for shard, effects in world.everything():
        command = pass_token(
            world.keys, shard, world.owner, "b", b, handover_id="h", closed_at_ms=1.0, pinned={f"busy{shard}": "busy"},
            effects=effects, events_kept=1000,
        )  # fmt: skip
        assert world.run(command) == "passed"


@drive
def drive_pass_children(world: World) -> None:
    b = world.join("b")
    for shard, effects in world.everything():
        command = pass_children(
            world.keys, shard, world.owner, "b", b, [f"busy{shard}"], handover_id="h", closed_at_ms=1.0,
            effects=effects, events_kept=1000,
        )  # fmt: skip
        assert world.run(command) == "passed"


@drive
def drive_release_pin(world: World) -> None:
    b = world.join("b")
    for shard, effects in world.everything():
        pin = world.pin(shard, f"idle{shard}", "b", b)
        command = release_pin(
            world.keys, shard, f"idle{shard}", pin, closed_at_ms=1.0, effects=effects, events_kept=1000
        )
        assert world.run(command) == "released"
    assert world.raw("XLEN", world.keys.control("a")) == 2
