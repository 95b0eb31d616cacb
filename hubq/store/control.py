"""Control messages between nodes, and what clients ask of nodes."""

from __future__ import annotations

from typing import Any, NamedTuple

from hubq.core.malformed import Malformed
from hubq.core.messages import Cancel, ControlMessage, Withdraw, from_fields, to_fields
from hubq.store.command import Arg, Command, plain, run_script, text
from hubq.store.events import fields_of
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
                events = [fields_of(fields) for _, fields in entries]
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
        return from_fields(fields_of(fields))
    except ValueError as error:
        return Malformed(f"entry {text(entry)} of {key}", str(error))


def _of_client(place: str, message: ControlMessage | Malformed | None) -> ControlMessage | Malformed | None:
    """What a client may send."""
    if message is None or isinstance(message, Withdraw | Cancel | Malformed):
        return message
    return Malformed(place, f"{type(message).__name__} is nothing that a client asks")
