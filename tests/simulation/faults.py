"""What is thrown at a schedule: which kinds of faults, how often, and at which moments. All of it from the seed.

Each schedule draws a few kinds only (*swarm testing*): a schedule with everything at once reaches fewer places than many
with a few things each.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

#: Faults that come at a time of their own.
TIMED = ("crash", "freeze", "cut", "black hole", "redis restart", "join", "drain", "replace", "client crash")
#: Faults of one request.
LOST = ("lost before", "lost after", "lost midway", "late packet")
#: Faults that hit a process in the moment it sends a command, or in which Redis has just run it.
AIMED = (
    "crash before", "crash after", "freeze before", "freeze after", "lose after", "target dies", "pair sleeps",
)  # fmt: skip
#: Where it hurts: the scripts that change who owns what, or what is done.
SORE = (
    "commit_shards", "pass_token", "release_pin", "park_shard", "claim_shards", "join_node", "leave_node", "dissolve_pins",
    "drain_node", "send_control", "HGETALL", "start_children", "send_messages", "pass_children", "mark_tries",
    "follow_shard",
)  # fmt: skip


#: Entries that no hubq writes, for mailboxes and control mailboxes.
GARBAGE: tuple[tuple[bytes, ...], ...] = (
    (b"x", b"y"),
    (b"\xff", b"\xfe", b"kind", b"\xff"),
    (b"kind", b"call", b"child", b"plain-0"),
    (b"kind", b"call", b"child", b"plain-0", b"method", b"record", b"id", b"1", b"reply_to", b"", b"deadline", b"soon",
     b"payload", b"p"),
    (b"kind", b"cast", b"child", b"\xff\xfe", b"method", b"record", b"id", b"1", b"reply_to", b"", b"deadline", b"0",
     b"payload", b"p"),
    (b"kind", b"state", b"child", b"plain-0", b"method", b"", b"id", b"1", b"reply_to", b"", b"deadline", b"0",
     b"payload", b"1 attributes 9-0\nj{}"),
    (b"kind", b"start", b"child", b"plain-0", b"method", b"", b"id", b"1", b"reply_to", b"", b"deadline", b"0",
     b"payload", b"{not json"),
    (b"kind", b"cast", b"child", b"plain-0", b"method", b"record", b"id", b"1", b"reply_to", b"", b"deadline", b"9" * 400,
     b"payload", b"p"),
)  # fmt: skip
#: And control messages.
CONTROL: tuple[tuple[bytes, ...], ...] = (
    *GARBAGE[:3],
    (b"kind", b"withdraw", b"from", b"c", b"shard", b"NaN", b"child", b"plain-0", b"message_id", b"1"),
    (b"kind", b"handover", b"from", b"w1", b"shard", b"0", b"token", b"1e400", b"handover_id", b"h", b"closed_at", b"nan"),
    (b"kind", b"start_children", b"from", b"w1", b"shard", b"9" * 30, b"handover_id", b"h"),
    (b"kind", b"replica_joined", b"from", b"\xff", b"shard", b"4000"),
    (b"kind", b"child_start_resp", b"from", b"w1", b"shard", b"0", b"handover_id", b"none", b"failed", b"\xff"),
)  # fmt: skip


class Plan:
    """The faults of one schedule."""

    def __init__(self, rng: Random, lease: float) -> None:
        self.rng = rng
        self.lease = lease
        self.active = True
        self.latency = rng.choice([0.0005, 0.001, 0.003, 0.02])
        self.seconds = rng.uniform(4.0, 9.0)
        some = rng.sample(TIMED, rng.randint(1, 4))
        self.timed = [*some, "join", "drain"] if rng.random() < 0.7 else some
        self.gap = rng.choice([0.4, 0.8, 1.6])
        self.lost = rng.sample(LOST, rng.randint(1, 2)) if rng.random() < 0.5 else []
        self.loss = rng.choice([0.003, 0.01, 0.03])
        self.aimed = rng.sample(AIMED, rng.randint(1, 2)) if rng.random() < 0.7 else []
        self.sore = [*rng.sample(SORE, 3), "commit_shards", "pass_token", "pass_children"]
        self.aim = rng.choice([0.01, 0.03, 0.1])
        self.picky = rng.random() < 0.3
        self.moves = rng.choice([0.2, 0.5, 1.5]) if rng.random() < 0.3 else 0.0  # mean pause between moves by hand
        self.slow_reads = rng.random() < 0.4  # now and then what was read of mailboxes is long on its way
        # Chance of its own: schedules without garbage are what they were before there was any.
        self.chance = Random(repr(rng.getstate()[1][:8]))
        self.garbage = (
            self.chance.choice([0.05, 0.3]) if self.chance.random() < 0.4 else 0.0
        )  # mean pause between entries

    def fate(self, names: Sequence[str]) -> str:
        """What becomes of a request: mostly nothing."""
        if not self.active or not self.lost or self.rng.random() >= self.loss:
            return ""
        fate = self.rng.choice(self.lost)
        if fate == "late packet" and any(name in ("XREAD", "BLPOP") for name in names):
            return "lost before"
        return fate

    def aims(self, names: Sequence[str], after: bool) -> str:
        """What hits the process that sends this (or whose command has just been run): mostly nothing."""
        if not self.active or not self.aimed or not any(name in self.sore for name in names):
            return ""
        kind = self.rng.choice(self.aimed)
        if kind.endswith(" after") is not after or self.rng.random() >= self.aim:
            return ""
        if kind in ("target dies", "pair sleeps"):
            return kind if "pass_token" in names or "pass_children" in names else ""
        return kind

    def sleep(self) -> float:
        """How long a frozen process sleeps: a little less than its lease, or more."""
        return self.rng.choice([0.3, 0.9, 1.1, 1.6, 2.5]) * self.lease * self.rng.uniform(0.9, 1.1)
