"""The events stream of a hub: what is written into it, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hubq.store.command import Arg, Command, plain, text
from hubq.store.keys import Keys


def last_event_id(keys: Keys) -> Command[str]:
    """The newest event's id, from which to follow."""
    return plain("XREVRANGE", keys.events, "+", "-", "COUNT", 1, read=lambda a: text(a[0][0]) if a else "0")


def add_event(keys: Keys, kept: int, kind: str, fields: Mapping[str, object]) -> Command[None]:
    """Write an event."""
    args: list[Arg] = ["type", kind]
    for name, value in fields.items():
        args += (name, value if isinstance(value, str | int | float) else msgspec.json.encode(value))
    return plain("XADD", keys.events, "MAXLEN", "~", kept, "*", *args, read=lambda answer: None)


def add_deed(keys: Keys, kept: int, who: str, what: str, on: Mapping[str, str]) -> Command[None]:
    """Write down that somebody has acted by hand: ``on`` what, by its kind (``child``, ``node``, ``job``)."""
    args: list[Arg] = ["type", "operator_acted", "who", who, "what", what]
    for name, value in on.items():
        args += (name, value)
    return plain("XADD", keys.events, "MAXLEN", "~", kept, "*", *args, read=lambda answer: None)


def read_events(
    keys: Keys, after: str, count: int, block_ms: int | None = None
) -> Command[list[tuple[str, dict[str, str]]]]:
    """Events after an id: (id, fields), oldest first."""

    def read(answer: Any) -> list[tuple[str, dict[str, str]]]:
        return [(text(entry), fields_of(fields)) for _, entries in answer or () for entry, fields in entries]

    block: tuple[Arg, ...] = () if block_ms is None else ("BLOCK", block_ms)
    return plain("XREAD", "COUNT", count, *block, "STREAMS", keys.events, after, read=read, blocks=block_ms is not None)


def read_events_back(keys: Keys, until: str, count: int) -> Command[list[tuple[str, dict[str, str]]]]:
    """Events up to an id (``(id``: without it): (id, fields), newest first."""

    def read(answer: Any) -> list[tuple[str, dict[str, str]]]:
        return [(text(entry), fields_of(fields)) for entry, fields in answer or ()]

    return plain("XREVRANGE", keys.events, until, "-", "COUNT", count, read=read)


def fields_of(flat: Any) -> dict[str, str]:
    """The fields of an entry, by name."""
    return {text(flat[i]): text(flat[i + 1]) for i in range(0, len(flat), 2)}
