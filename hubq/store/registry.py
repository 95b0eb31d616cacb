"""What children there are: specs, states, backlogs, by shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubq.store.command import Command, pairs, plain, text
from hubq.store.envelope import Envelope
from hubq.store.keys import Keys
from hubq.store.spec_record import SpecRecord


def _specs(answer: Any) -> dict[str, SpecRecord]:
    return {child: SpecRecord.read(data) for child, data in pairs(answer).items()}


def read_specs(keys: Keys, shard: int) -> Command[dict[str, SpecRecord]]:
    """All specs of a shard."""
    return plain("HGETALL", keys.children(shard), read=_specs)


def scan_specs(keys: Keys, shard: int, cursor: str, count: int) -> Command[tuple[str, dict[str, SpecRecord]]]:
    """Some specs of a shard, without blocking Redis: (next cursor, specs); the cursor ``0`` begins and ends."""
    return plain("HSCAN", keys.children(shard), cursor, "COUNT", count, read=lambda a: (text(a[0]), _specs(a[1])))


def read_some_specs(keys: Keys, shard: int, children: Sequence[str]) -> Command[dict[str, SpecRecord]]:
    """The specs of these children that exist."""

    def read(answer: Any) -> dict[str, SpecRecord]:
        return {child: SpecRecord.read(data) for child, data in zip(children, answer, strict=True) if data is not None}

    return plain("HMGET", keys.children(shard), *children, read=read)


def read_states(keys: Keys, shard: int) -> Command[dict[str, Envelope]]:
    """All saved states of a shard."""

    def read(answer: Any) -> dict[str, Envelope]:
        return {child: Envelope.read(data) for child, data in pairs(answer).items()}

    return plain("HGETALL", keys.msk(shard), read=read)


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
