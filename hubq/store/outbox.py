"""The outbox of a shard: messages of its children that wait until the mailboxes of others have room (docs/effects.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubq.core.malformed import whole_number
from hubq.store.command import Arg, Command, pairs, plain, run_script, text
from hubq.store.keys import Keys
from hubq.store.outbox_page import OutboxPage, read_page
from hubq.store.saying import SayingLimits

#: Most messages that one script moves on: a few milliseconds of Redis's time.
AT_ONCE = 500


def outbox_length(keys: Keys, shard: int) -> Command[int]:
    """How many messages wait in a shard's outbox."""
    return plain("XLEN", keys.outbox(shard), read=int)


def read_outbox(keys: Keys, shard: int, shards: range, after: str = "") -> Command[OutboxPage[int]]:
    """The next messages of a shard's outbox: entry -> the shard of the child that each is for. ``shards``: those of the group."""
    key = keys.outbox(shard)

    def read(answer: Any) -> OutboxPage[int]:
        return read_page(key, answer, shards, lambda entry, target, fields: target)

    return plain("XRANGE", key, f"({after}" if after else "-", "+", "COUNT", AT_ONCE, read=read)


@dataclass(frozen=True, slots=True)
class Held:
    """A message in an outbox, for people to look at: who has said it, for which child, and the size of its arguments in bytes."""

    entry: str
    sender: str
    child: str
    method: str
    size: int


def read_held(keys: Keys, shard: int, after: str, count: int, far: int | None = None) -> Command[list[Held]]:
    """The next messages of a shard's outbox behind an entry (empty: from the first on). ``far``: of its outbox to that group."""

    def read(answer: Any) -> list[Held]:
        return [_held(text(entry), pairs(fields)) for entry, fields in answer or ()]

    stream = keys.outbox(shard) if far is None else keys.far_keys(shard, far)[0]
    return plain("XRANGE", stream, f"({after}" if after else "-", "+", "COUNT", count, read=read)


def _held(entry: str, said: Mapping[str, bytes]) -> Held:
    return Held(
        entry, text(said.get("sender", b"")), text(said.get("child", b"")), text(said.get("method", b"")),
        len(said.get("payload", b"")),
    )  # fmt: skip


def count_held_back(keys: Keys, shard: int, child: str) -> Command[int]:
    """How many messages for a child wait in a shard's outbox."""
    return plain("HGET", keys.outbox_keys(shard)[1], child, read=whole_number)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """What became of a part of an outbox. ``passed_over``: children whose mailbox was full; give them with the next part, so
    that no later message overtakes one that had to stay.
    """

    moved: int
    left: int
    passed_over: tuple[str, ...]


def forward_outbox(
    keys: Keys, shard: int, entries: Mapping[str, int], limits: SayingLimits, passed_over: Sequence[str] = ()
) -> Command[Forwarded]:
    """Move messages on, as far as there is room. May be run twice, by anybody."""
    places = {target: place for place, target in enumerate(dict.fromkeys(entries.values()), 1)}
    names = [*keys.outbox_keys(shard)]
    for target in places:
        names += keys.target_keys(target)
    args: list[Arg] = [*limits, len(places), len(passed_over), *passed_over]
    for entry, target in entries.items():
        args += (entry, places[target])
    return run_script(
        "forward_outbox",
        names,
        args,
        lambda answer: Forwarded(int(answer[0]), int(answer[1]), tuple(text(child) for child in answer[2:])),
    )
