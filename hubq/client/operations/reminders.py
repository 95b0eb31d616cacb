"""Messages that are due later, and what reminders there are."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from itertools import chain

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_all, of_child
from hubq.client.asking.steps import Fetch, Operation, Remind
from hubq.client.operations.calls import checked_method, refusal
from hubq.core.hashing import checked_child_id
from hubq.core.reminders import PAST_MS, Reminder, past
from hubq.errors import HubqError
from hubq.store.codec import checked_size
from hubq.store.reminders import Later, read_page, read_reminder_names, read_reminders

#: Reminders that are read at a time.
PAGE = 500


@of_child
def cast_later(hub: HubContext, child_id: str, method: str, payload: bytes, how: str, ms: int) -> Operation[str]:
    """Have a message sent later: ``how`` is "after" (``ms`` from now) or "at". The answer: the name of its reminder."""
    method = checked_method(checked_child_id(child_id), method)
    checked_size(payload, hub.config.max_payload_bytes, f"the arguments of {child_id}.{method}")
    name = f"cast {secrets.token_hex(8)}"
    if hub.seal is not None:
        payload = hub.seal.message("cast", child_id, method, f"reminder {name}", "0", payload)
    word = yield Remind(Later(child_id, name, how, ms, method, payload))
    if word.startswith("past "):
        error = past(ms, float(word.partition(" ")[2]) + PAST_MS)
        raise error if error is not None else HubqError(f"reminder of {child_id!r} refused ({word})")
    if (refused := refusal(hub, child_id, word)) is not None:
        raise refused
    return name


@of_child
def cancel_later(hub: HubContext, child_id: str, name: str) -> Operation[bool]:
    """Take it back. False: it was sent already, or its child has ended."""
    word = yield Remind(Later(child_id, name, "cancel", 0))
    return bool(word in ("ok", "duplicate"))


def reminders(hub: HubContext, child_id: str | None) -> Operation[list[Reminder]]:
    """The reminders of a child, or of all, the next one first. Read in pages."""
    if hub.groups and child_id is not None:
        return (yield from _reminders_of(hub, child_id))
    return (yield from _reminders(hub, child_id))


@of_child
def _reminders_of(hub: HubContext, child_id: str) -> Operation[list[Reminder]]:
    return (yield from _reminders(hub, child_id))


def _by_time(answers: Sequence[list[Reminder]]) -> list[Reminder]:
    return sorted(chain.from_iterable(answers), key=lambda each: each.due)


@of_all(_by_time)
def _reminders(hub: HubContext, child_id: str | None) -> Operation[list[Reminder]]:
    found: list[Reminder] = []
    if child_id is not None:
        shard = hub.shard_of(checked_child_id(child_id))
        (members,) = yield Fetch([read_reminder_names(hub.keys, shard, child_id)])
        found = yield from _read(hub, shard, members)
    else:
        for shard in hub.shards:
            first = 0
            while True:
                (members,) = yield Fetch([read_page(hub.keys, shard, first, PAGE)])
                found += yield from _read(hub, shard, members)
                if len(members) < PAGE:
                    break
                first += PAGE
    return sorted({(each.child_id, each.name): each for each in found}.values(), key=lambda each: each.due)


def _read(hub: HubContext, shard: int, members: Sequence[bytes]) -> Operation[list[Reminder]]:
    found: list[Reminder] = []
    for first in range(0, len(members), PAGE):
        (page,) = yield Fetch([read_reminders(hub.keys, shard, members[first : first + PAGE])])
        found += page.values()
    return found
