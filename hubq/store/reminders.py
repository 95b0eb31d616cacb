"""Reminders in Redis: set by commits and by clients, moved into the mailbox when they are due (docs/guide-reminders.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hubq.core.malformed import Malformed, Table
from hubq.core.reminders import GRACE_MS, PAST_MS, Reminder, Timing
from hubq.store.command import Arg, Command, plain, run_script, text
from hubq.store.keys import Keys
from hubq.store.owners import Owner
from hubq.store.saying import SayingLimits, Section

#: Most reminders that one script fires: about a millisecond of Redis's time.
AT_ONCE = 100
#: How soon a reminder is tried again whose child's mailbox is full, ms.
FULL_AGAIN_MS = 1_000
#: How soon one of a paused child is looked at again, ms: as long as it has been late already, and at most so long.
PAUSED_AGAIN_MS = 10_000
#: When nothing is due any more.
NEVER = math.inf


class Reminded(NamedTuple):
    """A child sets a reminder (``timing``), or forgets it (None). A kind of :class:`~hubq.store.saying.Saying`."""

    sender: str
    name: str
    timing: Timing | None = None
    late: str = "once"
    method: str = ""
    payload: bytes = b""

    @property
    def size(self) -> int:
        """Bytes of its arguments."""
        return len(self.payload)

    @staticmethod
    def section(keys: Keys, shard: int, said: Sequence[Reminded], limits: SayingLimits) -> Section:
        """What children of ``shard`` set and forget."""
        args: list[Arg] = []
        for sender, name, timing, late, method, payload in said:
            args += (sender, name, *(timing or ("", "")), late, method, payload)
        return Section("reminders", [*keys.reminder_keys(shard), keys.mailbox(shard), keys.children(shard)], args)

    def shown(self) -> Reminder | None:
        """What its child is told of it; None: it is forgotten."""
        if self.timing is None:
            return None
        due, every = self.timing
        return Reminder(self.sender, self.name, self.method, due / 1000, every / 1000 if every else None, self.late)


class Later(NamedTuple):
    """A client's reminder for a child, still without its number: ``how`` is "after" (``ms`` from now), "at" or "cancel"."""

    child: str
    name: str
    how: str
    ms: int
    method: str = ""
    payload: bytes = b""

    @property
    def reply(self) -> bool:
        """Nobody waits for an answer of the child."""
        return False


def send_reminders(
    keys: Keys, sender: str, shards: Mapping[int, Sequence[tuple[int, Later]]], sender_ttl_ms: int
) -> Command[list[str]]:
    """Set numbered reminders, or cancel them; a status word for each, in order."""
    names = [keys.sender(sender)]
    args: list[Arg] = [sender_ttl_ms, PAST_MS]
    for shard, reminders in shards.items():
        names += (*keys.reminder_keys(shard), keys.mailbox(shard), keys.children(shard), keys.dormant(shard))
        args.append(len(reminders))
        for seq, (child, name, how, ms, method, payload) in reminders:
            args += (seq, child, name, how, ms, method, payload)
    return run_script("send_reminders", names, args, lambda answer: [text(word) for word in answer])


def _time(score: Any) -> float:
    """When something is due, ms; never for no score, and for one that hubq has not written."""
    try:
        ms = float(score)
    except (TypeError, ValueError):
        return NEVER
    return NEVER if math.isnan(ms) else ms


def read_next_due(keys: Keys, shard: int) -> Command[float]:
    """When the next reminder of a shard is due, ms of Redis TIME."""
    return plain(
        "ZRANGE", keys.reminder_keys(shard)[0], 0, 0, "WITHSCORES",
        read=lambda answer: _time(answer[1]) if answer else NEVER,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Firing:
    """What became of the reminders of a shard that were due. ``now_ms`` is Redis TIME, ``next_ms`` when the next is due."""

    now_ms: float
    next_ms: float
    fired: int
    malformed: tuple[Malformed, ...] = ()


def fire_reminders(
    keys: Keys, shard: int, owner: Owner, max_backlog: int, most: int = AT_ONCE
) -> Command[Firing | None]:
    """Move what is due into the mailbox of its shard, at most so many. None: fenced."""

    def read(answer: Sequence[Any]) -> Firing | None:
        if text(answer[0]) == "fenced":
            return None
        due = keys.reminder_keys(shard)[0]
        malformed = [
            Malformed(f"member {text(member)!r} of {due}", "no reminder, or of no child") for member in answer[4:]
        ]
        return Firing(_time(answer[1]), _time(answer[2]), int(answer[3]), tuple(malformed))

    mailbox, children, backlog, dormant = keys.send_keys(shard)
    return run_script(
        "fire_reminders",
        [keys.owners, *keys.reminder_keys(shard), mailbox, children, backlog, dormant, keys.pauses],
        [shard, owner.line, most, max_backlog, FULL_AGAIN_MS, GRACE_MS, PAUSED_AGAIN_MS],
        read,
    )


def read_reminder_names(keys: Keys, shard: int, child: str) -> Command[list[bytes]]:
    """The reminders of one child, as :func:`read_reminders` wants them."""
    names = keys.reminder_keys(shard)[2]
    return plain("ZRANGEBYLEX", names, f"[{child}\n", f"({child}\v", read=lambda answer: list(answer or ()))


def read_page(keys: Keys, shard: int, first: int, count: int) -> Command[list[bytes]]:
    """The next reminders of a shard, those that are due first."""
    due = keys.reminder_keys(shard)[0]
    return plain("ZRANGE", due, first, first + count - 1, read=lambda answer: list(answer or ()))


def read_reminders(keys: Keys, shard: int, members: Sequence[bytes]) -> Command[Table[str, Reminder]]:
    """What these reminders are (those that are still there), under the names that they have in Redis."""
    what = keys.reminder_keys(shard)[1]

    def read(answer: Any) -> Table[str, Reminder]:
        found: dict[str, Reminder] = {}
        malformed: list[Malformed] = []
        for member, record in zip(members, answer, strict=True):
            if record is None:
                continue
            try:
                found[text(member)] = _reminder(member, record)
            except (ValueError, UnicodeDecodeError) as error:
                malformed.append(Malformed.of(f"field {text(member)!r} of {what}", error))
        return Table(found, malformed)

    return plain("HMGET", what, *members, read=read)


def _reminder(member: bytes, record: bytes) -> Reminder:
    child, newline, name = member.decode().partition("\n")
    line, _, _ = record.partition(b"\n")
    due, every, late, method = line.decode().split(" ")
    if not newline or not (due.isdecimal() and every.isdecimal()) or len(due) + len(every) > 30:
        raise ValueError("no reminder (due every late method)")
    return Reminder(child, name, method, int(due) / 1000, int(every) / 1000 or None, late)
