"""Drafts: events that a handler publishes while it runs. The commit of its message closes them (docs/feeds.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hubq.core.feed import RETRACT
from hubq.core.malformed import Table
from hubq.store.command import Arg, Command, plain, run_script, text, whole_table
from hubq.store.keys import Keys, owner_field
from hubq.store.owners import Owner
from hubq.store.saying import SayingLimits, Section


@dataclass(frozen=True, slots=True)
class Handling:
    """One handling of a message, whose drafts stand or fall together. ``name`` is that of no other handling."""

    shard: int
    child: str
    entry: str
    name: str

    @property
    def field(self) -> str:
        """The field of the hash ``drafts``."""
        return f"{self.child}\n{self.entry}"


@dataclass(frozen=True, slots=True)
class Closing:
    """A saying: the drafts of this handling stand. ``unsaid`` is called if it is never said, since the message is undone."""

    handling: Handling
    unsaid: Callable[[Handling], None]

    @property
    def sender(self) -> str:
        """The child that says it."""
        return self.handling.child

    @property
    def size(self) -> int:
        """Bytes of its largest part."""
        return 0

    @staticmethod
    def section(keys: Keys, shard: int, said: Sequence[Closing], limits: SayingLimits) -> Section:
        """Whose drafts stand from now on."""
        args: list[Arg] = []
        for closing in said:
            args += (closing.handling.field, closing.handling.name)
        return Section("drafts", [keys.drafts(shard)], args)


def publish_drafts(
    keys: Keys,
    pinned: str | None,
    owner: Owner,
    handling: Handling,
    kept: int,
    first: int,
    events: Sequence[tuple[str, bytes]],
) -> Command[str]:
    """Publish drafts now. ``first``: the number of the first of them in this handling, from 1; those that are there are passed over.
    The answer: ok, fenced, or over (its message was committed, or withdrawn).
    """
    shard = handling.shard
    args: list[Arg] = [
        owner_field(shard, pinned),
        owner.line,
        handling.entry,
        handling.field,
        handling.name,
        kept,
        first,
        RETRACT,
    ]
    for topic, payload in events:
        args += (topic, payload)
    names = [keys.owners, keys.mailbox(shard), keys.feed(shard, handling.child), keys.drafts(shard)]
    return run_script("publish_drafts", names, args, text)


def retract_drafts(keys: Keys, pinned: str | None, owner: Owner, handling: Handling) -> Command[str]:
    """The drafts of a handling never were: tell its readers. ok, fenced, or gone (there are none, or none any more)."""
    shard = handling.shard
    return run_script(
        "retract_drafts",
        [keys.owners, keys.feed(shard, handling.child), keys.drafts(shard)],
        [owner_field(shard, pinned), owner.line, handling.field, handling.name, RETRACT],
        text,
    )


def drafts_length(keys: Keys, shard: int) -> Command[int]:
    """How many handlings of a shard have drafts that no commit has closed."""
    return plain("HLEN", keys.drafts(shard), read=int)


def read_drafts(keys: Keys, shard: int) -> Command[Table[str, Handling]]:
    """The handlings of a shard with drafts that no commit has closed."""

    def read(field: str, value: bytes) -> tuple[str, Handling]:
        child, _, entry = field.rpartition("\n")
        name, _, count = text(value).partition(" ")
        if not child or not entry or not count.isdecimal():
            raise ValueError("it is no handling of a message")
        return field, Handling(shard, child, entry, name)

    return plain("HGETALL", keys.drafts(shard), read=lambda answer: whole_table(keys.drafts(shard), answer, read))
