"""Control messages between nodes, what clients ask of nodes, and the events stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from hubq.core.malformed import Malformed
from hubq.core.messages import Cancel, ControlMessage, Withdraw, from_fields, to_fields
from hubq.store.command import Arg, Command, plain, run_script, text
from hubq.store.keys import Keys

#: Control mailboxes are read at once and capped; what is cut off was only a hint (docs/protocol.md).
CONTROL_KEPT = 10_000
#: A mailbox that nobody writes to goes by itself: a message to a node that has just left must not stay for ever.
CONTROL_TTL_MS = 3_600_000


def send_control(keys: Keys, target: str, message: ControlMessage) -> Command[str]:
    """Put a control message into a node's mailbox."""
    args: list[Arg] = [CONTROL_TTL_MS, CONTROL_KEPT]
    for name, value in to_fields(message).items():
        args += (name, value)
    return run_script("send_control", [keys.control(target)], args, text)


class Places(NamedTuple):
    """Up to where a node has read its control mailbox, what clients ask of it, and the events."""

    control: str = "0"
    asks: str = "0"
    events: str = ""


class Heard(NamedTuple):
    """What a node has read: control messages and what clients ask of it, the events, and up to where."""

    places: Places
    messages: list[ControlMessage | Malformed]
    events: list[dict[str, str]]


def read_control(keys: Keys, node: str, after: Places, block_ms: int) -> Command[Heard]:
    """New control messages, asks and events. Clients may only ask: any other message of theirs is malformed."""
    control, asks = keys.control(node), keys.asks(node)

    def read(answer: Any) -> Heard:
        last = {control: after.control, asks: after.asks, keys.events: after.events}
        events: list[dict[str, str]] = []
        messages: list[ControlMessage | Malformed] = []
        for name, entries in answer or ():
            key = text(name)
            last[key] = text(entries[-1][0])
            if key == keys.events:
                events = [_fields(fields) for _, fields in entries]
                continue
            for entry, fields in entries:
                message = _message(key, entry, fields)
                if key == asks:
                    message = _of_client(f"entry {text(entry)} of {key}", message)
                if message is not None:
                    messages.append(message)
        return Heard(Places(last[control], last[asks], last[keys.events]), messages, events)

    return plain(
        "XREAD", "COUNT", 500, "BLOCK", block_ms, "STREAMS", control, asks, keys.events, *after, read=read, blocks=True
    )


def _message(key: str, entry: bytes, fields: Any) -> ControlMessage | Malformed | None:
    """What an entry of a control mailbox says; None: it has a kind of a newer version, which this one need not know."""
    try:
        return from_fields(_fields(fields))
    except ValueError as error:
        return Malformed(f"entry {text(entry)} of {key}", str(error))


def _of_client(place: str, message: ControlMessage | Malformed | None) -> ControlMessage | Malformed | None:
    """What a client may send."""
    if message is None or isinstance(message, Withdraw | Cancel | Malformed):
        return message
    return Malformed(place, f"{type(message).__name__} is nothing that a client asks")


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
        return [(text(entry), _fields(fields)) for _, entries in answer or () for entry, fields in entries]

    block: tuple[Arg, ...] = () if block_ms is None else ("BLOCK", block_ms)
    return plain("XREAD", "COUNT", count, *block, "STREAMS", keys.events, after, read=read, blocks=block_ms is not None)


def read_events_back(keys: Keys, until: str, count: int) -> Command[list[tuple[str, dict[str, str]]]]:
    """Events up to an id (``(id``: without it): (id, fields), newest first."""

    def read(answer: Any) -> list[tuple[str, dict[str, str]]]:
        return [(text(entry), _fields(fields)) for entry, fields in answer or ()]

    return plain("XREVRANGE", keys.events, until, "-", "COUNT", count, read=read)


def _fields(flat: Any) -> dict[str, str]:
    return {text(flat[i]): text(flat[i + 1]) for i in range(0, len(flat), 2)}
