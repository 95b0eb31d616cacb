"""A hub with all that a child may have, in which each script is driven."""

from __future__ import annotations

from typing import Any

from hubq.core.pauses import Pause
from hubq.core.reminders import Timing
from hubq.core.wish import Wish
from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.store.dead_letters import NewLetter, read_dead
from hubq.store.dormant import (
    Resting,
    rest_children,
)
from hubq.store.drafts import Closing, Handling
from hubq.store.effects import Effects, Numbered
from hubq.store.far import SentFar
from hubq.store.feeds import Published
from hubq.store.keeps import KeptReply
from hubq.store.keys import Keys
from hubq.store.mailbox import read_range
from hubq.store.membership import join_node
from hubq.store.outgoing import Outgoing, StartOptions, send_messages, start_children
from hubq.store.owners import (
    Kept,
    Owner,
    claim_shards,
    dissolve_pins,
)
from hubq.store.pauses import set_pause
from hubq.store.places import want_place
from hubq.store.reminders import Later, Reminded, send_reminders
from hubq.store.replica_log import LogItem, follow_shard
from hubq.store.saying import SayingLimits
from hubq.store.sends import Sent
from hubq.store.waiting_jobs import Enqueued

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


def asleep(world: World, *children: str, expires: int = 0) -> None:
    """These are dormant in shard 0, and the first of them has a state."""
    world.start(0, *children)
    world.raw("DEL", world.keys.backlog(0), world.keys.mailbox(0))
    world.raw("HSET", world.keys.msk(0), children[0], "1 attributes 0\ns")
    resting = [Resting(child, "s:1", expires) for child in children]
    assert world.run(rest_children(world.keys, 0, world.owner, resting)) == [True] * len(children)
