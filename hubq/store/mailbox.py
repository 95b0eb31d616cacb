"""Reading the mailboxes of shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hubq.store.command import Arg, Command, plain, text
from hubq.store.keys import Keys
from hubq.store.message import LAST_ID, Message, Opens, message_of
from hubq.store.naming import Naming


def _entries(answer: Any, opens: Opens = None) -> list[Message]:
    # A deleted entry may appear as nil in some versions when a claim is involved; ranges never show it.
    found = [message_of(entry, fields) for entry, fields in (answer or []) if fields]
    return found if opens is None else opens(found)


def read_mailboxes(
    naming: Naming, cursors: Mapping[int, bytes], count: int, block_ms: int | None, woken: bytes, opens: Opens = None
) -> Command[tuple[dict[int, list[Message]], bytes]]:
    """Messages past each shard's cursor, blocking up to ``block_ms`` (None: not at all).

    The wake of ``naming`` is one more stream whose entries after ``woken`` end the wait; its last entry is the second answer.
    """
    block: tuple[Arg, ...] = () if block_ms is None else ("BLOCK", block_ms)
    args, data = naming.read(("XREAD", "COUNT", count, *block, "STREAMS"), cursors, woken)
    names, wake = naming.names, naming.wake

    def read(answer: Any) -> tuple[dict[int, list[Message]], bytes]:
        found: dict[int, list[Message]] = {}
        last = woken
        for name, entries in answer or ():
            key = text(name)
            if key == wake and key not in names:
                last = entries[-1][0]
            else:
                found[names[key]] = _entries(entries, opens)
        return found, last

    return Command(args, read, None, block_ms is not None, data=data)


def read_range(
    keys: Keys, shard: int, after: bytes, until: bytes, count: int, opens: Opens = None
) -> Command[list[Message]]:
    """Messages of one shard after an entry (exclusive) up to another (inclusive). ``opens``: as the seal of the node opens them."""
    start: bytes = b"-" if after == b"0" else b"(" + after
    return plain(
        "XRANGE", keys.mailbox(shard), start, until, "COUNT", count, read=lambda answer: _entries(answer, opens)
    )


def read_back(keys: Keys, shard: int, before: bytes, count: int) -> Command[list[Message]]:
    """Messages of one shard from an entry back (``+``: the last; ``(`` before it: exclusive), the newest first."""
    return plain("XREVRANGE", keys.mailbox(shard), before, "-", "COUNT", count, read=_entries)


def mailbox_length(keys: Keys, shard: int) -> Command[int]:
    """How many messages wait in a shard's mailbox."""
    return plain("XLEN", keys.mailbox(shard), read=int)


def mailbox_exists(keys: Keys, shard: int) -> Command[bool]:
    """Whether a shard ever had a message."""
    return plain("EXISTS", keys.mailbox(shard), read=bool)


def is_used_up(keys: Keys, shard: int) -> Command[bool]:
    """Whether a shard's mailbox, which exists, takes no message any more: an entry had the last id that there is."""

    def read(answer: Any) -> bool:
        told = dict(zip(map(text, answer[::2]), answer[1::2], strict=True))
        return text(told["last-generated-id"]).encode() == LAST_ID

    return plain("XINFO", "STREAM", keys.mailbox(shard), read=read)
