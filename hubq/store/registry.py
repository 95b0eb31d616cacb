"""What children there are: specs, states, backlogs, by shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubq.core.hashing import checked_child_id
from hubq.core.malformed import Table, whole_number
from hubq.store.command import Command, pairs, plain, table, text, whole_table
from hubq.store.envelope import Envelope
from hubq.store.keys import Keys
from hubq.store.spec_record import SpecRecord


def _spec(child: str, data: bytes) -> tuple[str, SpecRecord]:
    return checked_child_id(child), SpecRecord.read(data)


def _state(child: str, data: bytes) -> tuple[str, Envelope]:
    return child, Envelope.read(data)


def read_specs(keys: Keys, shard: int) -> Command[Table[str, SpecRecord]]:
    """All specs of a shard. What has a name that no child can have is malformed."""
    key = keys.children(shard)
    return plain("HGETALL", key, read=lambda answer: whole_table(key, answer, _spec))


def scan_specs(
    keys: Keys, shard: int, cursor: str, count: int, match: str | None = None, word: bytes = b""
) -> Command[tuple[str, Table[str, SpecRecord]]]:
    """Some specs of a shard, without blocking Redis: (next cursor, specs); the cursor ``0`` begins and ends. ``match``: only those of
    children that fit this pattern of Redis; ``word``: only specs in which it stands. (To look for a word costs a tenth of reading a spec.)
    """

    def read(child: str, data: bytes) -> tuple[str, SpecRecord] | None:
        return _spec(child, data) if word in data else None

    key = keys.children(shard)
    return plain(
        "HSCAN", key, cursor, *_matching(match), "COUNT", count,
        read=lambda answer: (text(answer[0]), whole_table(key, answer[1], read if word else _spec)),
    )  # fmt: skip


def scan_waiting(
    keys: Keys, shard: int, cursor: str, count: int, match: str | None = None
) -> Command[tuple[str, Table[str, int]]]:
    """The same of the children for which messages wait: child -> how many. It reads nothing of the others."""
    key = keys.backlog(shard)
    return plain(
        "HSCAN", key, cursor, *_matching(match), "COUNT", count,
        read=lambda answer: (text(answer[0]), whole_table(key, answer[1], lambda child, n: (child, whole_number(n)))),
    )  # fmt: skip


def count_waiting(keys: Keys, shard: int) -> Command[int]:
    """For how many children of a shard messages wait."""
    return plain("HLEN", keys.backlog(shard), read=int)


def _matching(pattern: str | None) -> tuple[str, ...]:
    return () if pattern is None else ("MATCH", pattern)


def read_some_specs(keys: Keys, shard: int, children: Sequence[str]) -> Command[Table[str, SpecRecord]]:
    """The specs of these children that exist."""
    key = keys.children(shard)
    return plain("HMGET", key, *children, read=lambda answer: table(key, zip(children, answer, strict=True), _spec))


def read_states(keys: Keys, shard: int) -> Command[Table[str, Envelope]]:
    """All saved states of a shard."""
    key = keys.msk(shard)
    return plain("HGETALL", key, read=lambda answer: whole_table(key, answer, _state))


def read_envelopes(keys: Keys, shard: int, children: Sequence[str]) -> Command[dict[str, Envelope]]:
    """The saved states of these children, where there are any."""

    def read(answer: Any) -> dict[str, Envelope]:
        return {child: Envelope.read(data) for child, data in zip(children, answer, strict=True) if data is not None}

    return plain("HMGET", keys.msk(shard), *children, read=read)


def read_state(keys: Keys, shard: int, child: str) -> Command[Envelope | None]:
    """The saved state of one child."""
    return plain("HGET", keys.msk(shard), child, read=lambda data: Envelope.read(data) if data is not None else None)


def read_some_states(keys: Keys, shard: int, children: Sequence[str]) -> Command[dict[str, bytes]]:
    """The saved states of these children that have one, unread."""

    def read(answer: Any) -> dict[str, bytes]:
        return {child: data for child, data in zip(children, answer, strict=True) if data is not None}

    return plain("HMGET", keys.msk(shard), *children, read=read)


def read_texts(key: str) -> Command[dict[str, str]]:
    """A hash of plain text: backlogs, reasons for parking."""
    return plain("HGETALL", key, read=lambda answer: {name: text(value) for name, value in pairs(answer).items()})


def count_children(keys: Keys, shard: int) -> Command[int]:
    """How many children a shard has."""
    return plain("HLEN", keys.children(shard), read=int)


def read_spec(keys: Keys, shard: int, child: str) -> Command[SpecRecord | None]:
    """The spec of one child."""
    return plain(
        "HGET", keys.children(shard), child, read=lambda data: SpecRecord.read(data) if data is not None else None
    )
