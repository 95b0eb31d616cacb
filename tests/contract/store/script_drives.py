"""A run of each script that gets to every place at which it writes: docs/adr/0008 is checked with them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hubq.core.balance import Decision
from hubq.core.messages import HandoverConfirmed
from hubq.core.pauses import Pause
from hubq.core.quorum import Roll
from hubq.core.regrouping import ASIDE
from hubq.core.reminders import Timing
from hubq.core.replication import LogPosition
from hubq.core.wish import Wish
from hubq.store.assignment import publish_assignment
from hubq.store.batches import end_batch, forget_mark, open_batch
from hubq.store.command import plain, run_script, text
from hubq.store.connection import SyncRedis
from hubq.store.control import send_control
from hubq.store.dead_letters import NewLetter, read_dead, replay_dead
from hubq.store.dormant import (
    Expired,
    Resting,
    expire_children,
    read_expiring,
    read_next_expiry,
    rest_children,
    wake_children,
)
from hubq.store.drafts import Closing, Handling, publish_drafts, read_drafts, retract_drafts
from hubq.store.effects import Effects, Numbered
from hubq.store.far import FarMessage, SentFar, delete_far, receive_far
from hubq.store.feeds import Published
from hubq.store.history import Point, read_points, write_point
from hubq.store.keeps import KeptReply
from hubq.store.keys import Keys
from hubq.store.mailbox import (
    Outgoing,
    StartOptions,
    intervene,
    read_range,
    send_messages,
    start_children,
    void_numbers,
    withdraw_call,
)
from hubq.store.membership import check_config, drain_node, evict_node, join_node, leave_node, renew_lease
from hubq.store.moves import mark_moving, put_back, set_aside
from hubq.store.outbox import forward_outbox, read_outbox
from hubq.store.owners import (
    Kept,
    Owner,
    claim_shards,
    commit_shards,
    dissolve_pins,
    park_shard,
    pass_token,
    release_pin,
    renew_token,
)
from hubq.store.pauses import set_pause
from hubq.store.places import pass_children, want_place
from hubq.store.progress import note_progress
from hubq.store.quorum import settle_quorum
from hubq.store.reminders import Later, Reminded, fire_reminders, send_reminders
from hubq.store.removal import delete_keys
from hubq.store.replica_log import LogItem, follow_shard, report_replica, unfollow_shard
from hubq.store.results import About, keep_result
from hubq.store.saying import SayingLimits
from hubq.store.sealed_fields import write_anew
from hubq.store.sends import Sent
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import Suspect, absolve_node, blame, end_watch, mark_tries
from hubq.store.waiting_jobs import Enqueued, OutboxMessage, take_jobs

DRAFTED = Handling(0, "busy0", "1-0", "a#1:1")
JOB = Enqueued("busy0", "job-1", "", b"\x93\x80\xc2\xc2")
KEPT = Kept(1000, 10, 60_000)


class World:
    """A hub with a node ``a`` that owns the shards 0 and 1, and some children with all that a child may have."""

    def __init__(self, keys: Keys, redis: SyncRedis) -> None:
        self.keys, self.redis = keys, redis
        self._seq = 0
        self.a = self.join("a")
        self.run(claim_shards(keys, "a", self.a, [0, 1], [], KEPT))
        self.owner = Owner("a", self.a, 1)

    def run(self, command: Any) -> Any:
        return self.redis.run(command)

    def raw(self, *args: Any) -> Any:
        return self.run(plain(*args, read=lambda answer: answer))

    def join(self, node: str) -> int:
        return int(self.run(join_node(self.keys, node, {"life": "ab12"}, 60_000, 1000, 4)).incarnation)

    def die(self, node: str) -> None:
        self.raw("HDEL", self.keys.nodes, node)
        self.raw("ZREM", self.keys.leases, node)

    def start(self, shard: int, *children: str, batch: str = "") -> Any:
        self._seq += 1
        command = start_children(
            self.keys, shard, "s", self._seq, dict.fromkeys(children, b'{"name":"Room","start_id":"s:1"}\n'),
            reply_to="s", timeout_ms=0, all_or_nothing=False, sender_ttl_ms=60_000, options=StartOptions(batch=batch),
        )  # fmt: skip
        return self.run(command)

    def send(self, shard: int, child: str, kind: str = "call") -> bytes:
        """The entry of a new message."""
        self._seq += 1
        messages = {shard: [(self._seq, Outgoing(kind, child, "post", b"p", 5.0, True))]}
        self.run(send_messages(self.keys, "s", messages, sender_ttl_ms=60_000, max_backlog=100))
        return bytes(self.run(read_range(self.keys, shard, b"0", b"+", 99))[-1].entry)

    def pin(self, shard: int, child: str, node: str, incarnation: int, token: int = 2) -> Owner:
        owner = Owner(node, incarnation, token)
        self.raw("HSET", self.keys.owners, f"{shard}/{child}", owner.line)
        return owner

    def everything(self) -> list[tuple[int, Effects]]:
        """For each of two shards effects: all there can be, and those without a message that is done."""
        for shard in (0, 1):
            self.start(shard, f"old{shard}", f"busy{shard}", f"idle{shard}")
            self.run(want_place(self.keys, shard, f"old{shard}", Wish("a", "moved"), 1000))
        self.run(set_pause(self.keys, 0, Pause("child", "old0"), True, 1000))
        self.raw("HSET", self.keys.drafts(0), DRAFTED.field, f"{DRAFTED.name} 1")
        self.run(follow_shard(self.keys, 0, "a", self.a, 60_000))
        busy, idle = [self.send(0, "busy0") for _ in range(2)], self.send(0, "idle0")
        effects = Effects(
            done={"busy0": busy[:1], "idle0": [idle]}, states={"busy0": b"1 attributes 0\ns"}, forgotten=["idle0"],
            ended={"old0": "s:1"}, parked={"idle0": "why", "busy0": ""}, replies={"s": [b"r"], "t": [b"r"]},
            log=[LogItem("end", "old0", word="s:1")], said=[
                *self.sent(), FAR, *self.published(), KEPT_REPLY, *self.reminders(), JOB, Closing(DRAFTED, lambda _: None),
            ],
            numbered=Numbered("a", self.a, 7, "0"),
            limits=SayingLimits(max_backlog=1),
            letters=[NewLetter.of(entry, "Room", "raised", "why", 1, 10) for entry in (busy[0], idle)],
        )  # fmt: skip
        return [(0, effects), (1, Effects(states={"busy1": b"1 attributes 0\ns"}))]

    def sent(self) -> list[Sent]:
        """What a child of shard 0 sends: to one with room, to one without, to one that it starts, and to none."""
        self.start(1, "roomy", "full")
        self.send(1, "full")
        self.raw("HDEL", self.keys.backlog(1), "roomy")  # (the start message counts for the first of the two)
        drafts = [("roomy", b""), ("full", b""), ("new", b"{}\n"), ("none", b"")]
        return [Sent("busy0", 1, child, "post", b"p", spec) for child, spec in drafts]

    def reminders(self) -> list[Reminded]:
        """Children of shard 0 set reminders and forget some; the child that ends has one."""
        self.remind(0, "old0", "a", 5)
        self.remind(0, "busy0", "b", 5_000)
        return [
            Reminded("busy0", "b"),
            Reminded("busy0", "c", Timing(1, 60_000), "all", "post", b"p"),
            Reminded("old0", "d", Timing(1)),
        ]

    def remind(self, shard: int, child: str, name: str, ms: int, how: str = "after") -> str:
        """A client sets a reminder, or cancels one."""
        self._seq += 1
        reminders = {shard: [(self._seq, Later(child, name, how, ms, "post", b"p"))]}
        (word,) = self.run(send_reminders(self.keys, "s", reminders, 60_000))
        return str(word)

    def published(self) -> list[Published]:
        """Children of shard 0 publish: into feeds that have, and had, an id that nothing can follow, one that has ended, and a new one."""
        self.raw("XADD", self.keys.feed(0, "busy0"), f"{1 << 60}-1", "topic", "t", "data", "d")
        self.raw("XADD", self.keys.feed(0, "idle0"), "5-1", "end", "1")
        self.beyond("bare")
        return [Published(child, 10, "topic", b"p") for child in ("busy0", "idle0", "old0", "bare")]

    def beyond(self, child: str) -> None:
        """The feed of a child has had an event with an id that hubq does not write for years, and it is gone."""
        feed = self.keys.feed(0, child)
        self.raw("XDEL", feed, self.raw("XADD", feed, f"{1 << 45}-1", "topic", "t", "data", "d"))

    def in_hand(self, node: str, incarnation: int) -> None:
        """Marks of shard 0: of what the crash of the node makes a dead letter, of what it counts, and of what was done."""
        self.start(0, "bad", "fresh", "lame")
        bad, fresh = self.send(0, "bad").decode(), self.send(0, "fresh").decode()
        self.raw("HSET", self.keys.backlog(0), "bad", 1)
        by = f"{node}#{incarnation}"
        marks = {
            "watch": "0-0 starting x#8 y#9", "message bad": f"{bad} 2 {by} x#8 y#9", "message fresh": f"{fresh} 1 {by} y#9",
            "message done": f"1-0 1 {by} y#9", "start lame": f"- 2 {by} x#8 y#9",
        }  # fmt: skip
        self.raw("HSET", self.keys.tries(0), *(part for mark in marks.items() for part in mark))

    def letters(self) -> dict[str, str]:
        """Dead letters of shard 0, of a message and of a start: kind -> entry. Node ``b`` is said to have owned it."""
        b = self.join("b")
        self.pin(0, "bad", "b", b)
        self.in_hand("b", b)
        self.die("b")
        self.run(dissolve_pins(self.keys, 0, self.owner, ["bad"], KEPT))
        return {letter.kind: letter.letter.partition("/")[2] for letter in self.run(read_dead(self.keys, 0))}


FAR = SentFar("busy0", 1, 1, "far", "post", b"p", b"", "x.1")
KEPT_REPLY = KeptReply("busy0", "order-7", 60_000, "7-0", "0" * 32, "ok", b"p")

DRIVES: dict[str, Callable[[World], None]] = {}


def drive(act: Callable[[World], None]) -> Callable[[World], None]:
    """The function is named after the script that it drives."""
    DRIVES[act.__name__.removeprefix("drive_")] = act
    return act


# -- members --------------------------------------------------------------------------------------------------------


@drive
def drive_check_config(world: World) -> None:
    world.run(check_config(world.keys, 4))


@drive
def drive_join_node(world: World) -> None:
    world.raw("DEL", world.keys.epoch)  # as for the hub's first node
    world.join("b")
    world.raw("SET", world.keys.epoch, "soon")
    assert world.join("c") > 1_000_000_000_000


@drive
def drive_renew_lease(world: World) -> None:
    assert world.run(renew_lease(world.keys, "a", world.a, 1000)).ok


@drive
def drive_drain_node(world: World) -> None:
    assert world.run(drain_node(world.keys, "a", None, 1000)) == "draining"


@drive
def drive_leave_node(world: World) -> None:
    world.pin(2, "c", "a", world.a)
    assert world.run(leave_node(world.keys, "a", world.a, 1000, force=True)) == "left"


@drive
def drive_evict_node(world: World) -> None:
    world.raw("ZADD", world.keys.leases, 1, "a")
    assert world.run(evict_node(world.keys, "a", "b", 1000)) == "evicted"


@drive
def drive_delete_keys(world: World) -> None:
    world.raw("ZADD", world.keys.leases, 1, "a")
    assert world.run(delete_keys(world.keys, [world.keys.children(0), world.keys.leases])) == "deleted"


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


@drive
def drive_settle_quorum(world: World) -> None:
    event = {"type": "quorum_lost"}
    epoch = int(world.raw("GET", world.keys.epoch))
    assert world.run(settle_quorum(world.keys, epoch, b"", Roll(changes=1), "no quorum", event, 1000))


@drive
def drive_publish_assignment(world: World) -> None:
    decision = Decision({0: "a"}, {0: 1.0}, 1)
    assert world.run(publish_assignment(world.keys, "a", world.a, 5, decision, {"a": world.a}, 1000)) == "ok"


@drive
def drive_send_control(world: World) -> None:
    world.run(send_control(world.keys, "a", HandoverConfirmed("b", 0, "h")))


# -- owners ---------------------------------------------------------------------------------------------------------


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
def drive_renew_token(world: World) -> None:
    assert world.run(renew_token(world.keys, 0, None, world.owner, Owner("a", world.a, 2))) == "renewed"


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
        world.raw("XADD", stream, f"{number}-0", "shard", "1")
    assert world.run(delete_far(world.keys, 0, 1, [1])) == 1
    assert world.run(delete_far(world.keys, 0, 1, [1, 2])) == 0
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


# -- messages -------------------------------------------------------------------------------------------------------


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


def asleep(world: World, *children: str, expires: int = 0) -> None:
    """These are dormant in shard 0, and the first of them has a state."""
    world.start(0, *children)
    world.raw("DEL", world.keys.backlog(0), world.keys.mailbox(0))
    world.raw("HSET", world.keys.msk(0), children[0], "1 attributes 0\ns")
    resting = [Resting(child, "s:1", expires) for child in children]
    assert world.run(rest_children(world.keys, 0, world.owner, resting)) == [True] * len(children)


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


# -- after crashes --------------------------------------------------------------------------------------------------


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
def drive_replay_dead(world: World) -> None:
    for entry in world.letters().values():
        assert world.run(replay_dead(world.keys, 0, entry)) == "ok"
    assert world.raw("XLEN", world.keys.control("a")) == 1


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


# -- followers ------------------------------------------------------------------------------------------------------


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
