"""Many casts at once: one request for hundreds of messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Operation, Outcome, Scatter, Send
from hubq.client.operations.calls import checked_method, refusal
from hubq.core.layout import groups_of
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
    drafts, shards = _drafts(hub, messages)
    if not hub.groups:
        answers = (yield Send(drafts)) if drafts else []
        return [
            None if word == "ok" else refusal(hub, draft.child, word)
            for draft, (_, word) in zip(drafts, answers, strict=True)
        ]
    places: list[list[int]] = [[] for _ in hub.groups]
    for place, group in enumerate(groups_of(shards, hub.config.groups)):
        places[group].append(place)
    parts = {group: [drafts[place] for place in some] for group, some in enumerate(places) if some}
    outcomes: Mapping[int, Outcome] = yield Scatter(parts)
    errors: list[HubqError | None] = [None] * len(drafts)
    for group in parts:
        for place, (_, word) in zip(places[group], outcomes[group].result(), strict=True):
            if word != "ok":
                errors[place] = refusal(hub.groups[group], drafts[place].child, word)
    return errors


def _drafts(hub: HubContext, messages: Iterable[Cast]) -> tuple[list[Outgoing], list[int]]:
    """The messages, and the shard of each."""
    drafts: list[Outgoing] = []
    shards: list[int] = []
    at_hand, tracing, new = hub.shards_at_hand, hub.tracing, tuple.__new__
    encoded, most, names = hub.values.encode_arguments, hub.config.max_payload_bytes, set[str]()
    for message in messages:
        if (
            not isinstance(message, tuple)
            or len(message) < 2
            or not (isinstance(message[1], str) or callable(message[1]))
        ):
            raise ConfigError(f"cast {message!r}: give (child id or reference, method, arguments...)")
        child, given, args = message[0], message[1], message[2:]
        child_id, spec = (child, None) if isinstance(child, str) else _named(child)
        shards.append(at_hand[child_id])  # (that checks the id)
        if isinstance(given, str):
            method, function = given, None
        else:
            method, function = name_of_method(given), given
        if method not in names:
            names.add(checked_method(child_id, method))
        payload = encoded(args, {}, f"{child_id}.{method}", function)
        if len(payload) > most:
            checked_size(payload, most, f"the arguments of {child_id}.{method}")
        if tracing is not None:
            with tracing.sending("cast", child_id, method) as traced:
                payload = traced(payload)
        # (As Outgoing(...) does, in half the time.)
        drafts.append(new(Outgoing, ("cast", child_id, method, payload, 0, False, spec)))
    return drafts, shards


def _named(child: object) -> tuple[str, SpecRecord | None]:
    if not isinstance(child, Reference):
        raise ConfigError(f"cast to {child!r}: give the id of a child, or a reference to one")
    return child.child_id, child.activation
