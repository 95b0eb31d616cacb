"""Many casts at once: one request for hundreds of messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import in_groups
from hubq.client.asking.steps import Operation, Send
from hubq.client.operations.calls import checked_method, refusal
from hubq.core.hashing import checked_child_id
from hubq.core.layout import group_of
from hubq.core.methods import name_of_method
from hubq.errors import ConfigError, HubqError
from hubq.store.codec import checked_size
from hubq.store.outgoing import Outgoing
from hubq.store.spec_record import SpecRecord

#: Child id (or a reference, ``hub.ref(Room, "room-1", "redis")``), method, and the method's arguments.
Cast = tuple[Any, ...]


@runtime_checkable
class Reference(Protocol):
    """A reference to a child, waiting or awaiting."""

    child_id: str
    activation: SpecRecord | None


def cast_many(hub: HubContext, messages: Iterable[Cast]) -> Operation[list[HubqError | None]]:
    """Put messages into their children's mailboxes, in order; for each None, or why it was refused."""
    drafts = [_draft(hub, message) for message in messages]
    if not hub.groups:
        return (yield from _send(hub, drafts))
    places: dict[int, list[int]] = {}
    for place, draft in enumerate(drafts):  # (their ids have been checked)
        group = group_of(hub.shard_of(draft.child), hub.config.groups)
        if group in places:
            places[group].append(place)
        else:
            places[group] = [place]
    found = yield from in_groups(
        {group: _send(hub.groups[group], [drafts[n] for n in numbers]) for group, numbers in places.items()}
    )
    errors: list[HubqError | None] = [None] * len(drafts)
    for group, numbers in places.items():
        for place, error in zip(numbers, found[group], strict=True):
            errors[place] = error
    return errors


def _send(hub: HubContext, drafts: Sequence[Outgoing]) -> Operation[list[HubqError | None]]:
    if not drafts:
        return []
    answers = yield Send(drafts)
    return [
        None if word == "ok" else refusal(hub, draft.child, word)
        for draft, (_, word) in zip(drafts, answers, strict=True)
    ]


def _draft(hub: HubContext, message: Cast) -> Outgoing:
    if not isinstance(message, tuple) or len(message) < 2 or not (isinstance(message[1], str) or callable(message[1])):
        raise ConfigError(f"cast {message!r}: give (child id or reference, method, arguments...)")
    child, given, *args = message
    child_id, spec = (child, None) if isinstance(child, str) else _named(child)
    method = checked_method(checked_child_id(child_id), name_of_method(given))
    payload = hub.values.encode_arguments(
        tuple(args), {}, f"{child_id}.{method}", None if isinstance(given, str) else given
    )
    checked_size(payload, hub.config.max_payload_bytes, f"the arguments of {child_id}.{method}")
    if hub.tracing is not None:
        with hub.tracing.sending("cast", child_id, method) as traced:
            payload = traced(payload)
    return Outgoing("cast", child_id, method, payload, 0, False, spec)


def _named(child: object) -> tuple[str, SpecRecord | None]:
    if not isinstance(child, Reference):
        raise ConfigError(f"cast to {child!r}: give the id of a child, or a reference to one")
    return child.child_id, child.activation
