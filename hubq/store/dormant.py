"""Dormant children: how they go to rest, wake and expire (docs/dormant.md). All three scripts are fenced by the token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hubq.core.hashing import checked_child_id
from hubq.core.malformed import Table
from hubq.store.command import Command, plain, run_script, table, text, whole_table
from hubq.store.envelope import Envelope
from hubq.store.keys import Keys, owner_field
from hubq.store.owners import Owner
from hubq.store.spec_record import SpecRecord

#: Most children that one script moves: about a millisecond of Redis's time.
AT_ONCE = 200


class Resting(NamedTuple):
    """A child that goes to rest. ``expires``: ms of Redis TIME; 0: never."""

    child: str
    start_id: str
    expires: int = 0


class Found(NamedTuple):
    """Spec and state of a child that is awake now. ``state`` None: it has never saved one."""

    record: SpecRecord
    state: Envelope | None


@dataclass(frozen=True, slots=True)
class Expired:
    """Children that have ended, and how long until the next one expires, seconds (None: there is none)."""

    children: tuple[str, ...]
    next_in: float | None


def rest_children(keys: Keys, shard: int, owner: Owner, children: Sequence[Resting]) -> Command[list[bool] | None]:
    """Move children to the dormant ones: for each whether it is there now; False: a message waits, or it has a wish. None: fenced."""
    args = [part for child, start_id, expires in children for part in (child, start_id, expires or "")]

    def read(answer: Sequence[Any]) -> list[bool] | None:
        return None if _fenced(answer) else [text(word) == "dormant" for word in answer]

    return run_script(
        "rest_children", [keys.owners, *keys.rest_keys(shard), keys.pins], [owner_field(shard), owner.line, *args], read
    )


def wake_children(
    keys: Keys, shard: int, owner: Owner, children: Sequence[str], *, again: bool
) -> Command[dict[str, Found] | None]:
    """Move dormant children to the active ones: those that are there. None: fenced. ``again``: an earlier try may have come
    through, so active ones are read, too.
    """

    def read(answer: Sequence[Any]) -> dict[str, Found] | None:
        if _fenced(answer):
            return None
        return {
            child: Found(SpecRecord.read(spec), Envelope.read(state) if state else None)
            for child, spec, state in zip(children, answer[1::2], answer[2::2], strict=True)
            if spec
        }

    return run_script(
        "wake_children",
        [keys.owners, *keys.rest_keys(shard)],
        [owner_field(shard), owner.line, 1 if again else 0, *children],
        read,
    )


def expire_children(keys: Keys, shard: int, owner: Owner, children: Sequence[str]) -> Command[Expired | None]:
    """End those of these dormant children whose time has come (:func:`read_expiring`). None: fenced."""

    def read(answer: Sequence[Any]) -> Expired | None:
        if _fenced(answer):
            return None
        left = int(answer[1])
        return Expired(tuple(text(child) for child in answer[2:]), None if left < 0 else left / 1000)

    names = [keys.owners, *keys.rest_keys(shard), *keys.ended_keys, *keys.reminder_keys(shard)]
    names += [keys.feed(shard, child) for child in children]
    return run_script("expire_children", names, [owner_field(shard), owner.line, *children], read)


def read_next_expiry(keys: Keys, shard: int) -> Command[float]:
    """When the next dormant child of a shard expires, ms of Redis TIME; infinity: none does."""
    return plain("ZRANGE", keys.expiring(shard), 0, 0, "WITHSCORES", read=_first_time)


def _first_time(answer: Sequence[Any]) -> float:
    try:
        return float(answer[1]) if answer else math.inf
    except ValueError:
        return math.inf


def read_expiring(keys: Keys, shard: int, now_ms: float) -> Command[list[str]]:
    """Dormant children of a shard whose time has come at ``now_ms`` (Redis TIME), at most :data:`AT_ONCE`."""
    return plain(
        "ZRANGEBYSCORE", keys.expiring(shard), "-inf", now_ms, "LIMIT", 0, AT_ONCE,
        read=lambda answer: [text(child) for child in answer],
    )  # fmt: skip


def _fenced(answer: Sequence[Any]) -> bool:
    return bool(answer) and text(answer[0]) == "fenced"


# -- looking ---------------------------------------------------------------------------------------------------------


def parted(data: bytes) -> tuple[bytes, bytes]:
    """Spec and state of a dormant child as it stands in Redis (``lua/_dormant.lua``). It never raises: what is malformed is all spec.

    >>> parted(b"4 {}\\nx1 attributes 0\\n..."), parted(b"garbage")
    ((b'{}\\nx', b'1 attributes 0\\n...'), (b'garbage', b''))
    """
    length, space, _ = data[:12].partition(b" ")
    if not space or not length.isdigit() or int(length) > len(data) - len(length) - 1:
        return data, b""
    first, last = len(length) + 1, len(length) + 1 + int(length)
    return data[first:last], data[last:]


def _spec(child: str, data: bytes) -> tuple[str, SpecRecord]:
    return checked_child_id(child), SpecRecord.read(parted(data)[0])


def count_dormant(keys: Keys, shard: int) -> Command[int]:
    """How many dormant children a shard has."""
    return plain("HLEN", keys.dormant(shard), read=int)


def is_dormant(keys: Keys, shard: int, child: str) -> Command[bool]:
    """Whether a child is dormant."""
    return plain("HEXISTS", keys.dormant(shard), child, read=bool)


def scan_dormant(keys: Keys, shard: int, cursor: str, count: int) -> Command[tuple[str, Table[str, SpecRecord]]]:
    """Some dormant children of a shard, without blocking Redis, as :func:`~hubq.store.registry.scan_specs`."""
    key = keys.dormant(shard)
    return plain(
        "HSCAN", key, cursor, "COUNT", count, read=lambda answer: (text(answer[0]), whole_table(key, answer[1], _spec))
    )


def scan_dormant_states(
    keys: Keys, shard: int, cursor: str, count: int
) -> Command[tuple[str, Table[str, tuple[SpecRecord, Envelope | None]]]]:
    """The same with their saved states, if they have any."""
    key = keys.dormant(shard)

    def whole(child: str, data: bytes) -> tuple[str, tuple[SpecRecord, Envelope | None]]:
        spec, state = parted(data)
        return checked_child_id(child), (SpecRecord.read(spec), Envelope.read(state) if state else None)

    return plain(
        "HSCAN", key, cursor, "COUNT", count, read=lambda answer: (text(answer[0]), whole_table(key, answer[1], whole))
    )


def read_dormant_specs(keys: Keys, shard: int, children: Sequence[str]) -> Command[Table[str, SpecRecord]]:
    """The specs of those among these children that are dormant."""
    key = keys.dormant(shard)
    return plain("HMGET", key, *children, read=lambda answer: table(key, zip(children, answer, strict=True), _spec))


def read_dormant_state(keys: Keys, shard: int, child: str) -> Command[tuple[bool, Envelope | None]]:
    """Whether a child is dormant, and its saved state if it has one."""

    def read(data: bytes | None) -> tuple[bool, Envelope | None]:
        if data is None:
            return False, None
        state = parted(data)[1]
        return True, Envelope.read(state) if state else None

    return plain("HGET", keys.dormant(shard), child, read=read)
