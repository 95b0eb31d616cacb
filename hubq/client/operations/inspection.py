"""Looking at a hub without touching it: a child's saved state, what waits in mailboxes, what happened, the settings.

Nothing here consumes or changes anything, and nothing asks the children themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import in_groups, of_all, of_child, united
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.happened import Event, event_of, merged_events, places_of
from hubq.client.operations.joining import joined_vitals
from hubq.core.entry_ids import entry_ms
from hubq.core.hashing import checked_child_id
from hubq.core.malformed import whole_number
from hubq.errors import HubqError, UnknownChild, Unreadable, Unsealed
from hubq.store.codec import decode, version_of
from hubq.store.command import plain
from hubq.store.dormant import is_dormant, read_dormant_state
from hubq.store.events import last_event_id, read_events, read_events_back
from hubq.store.mailbox import mailbox_length, read_range
from hubq.store.membership import read_nodes, redis_time_ms
from hubq.store.message import Message
from hubq.store.registry import read_spec, read_state, read_texts
from hubq.store.vitals import Vitals, read_vitals

#: Entries of one mailbox read at a time, and read at most, when looking for the messages of one child.
PAGE, MOST_READ = 500, 50_000


@dataclass(frozen=True, slots=True)
class SavedState:
    """What ``msk`` holds of a child. ``form`` is "attributes" or "handed"; ``cursor`` the last message it contains.

    ``data`` begins with a byte for its format, after a line with its version if that is not 1; ``size`` is its length in bytes.
    ``message_age`` is how long ago that last message was sent, seconds (None: the state holds no message yet). ``unpickles``: the hub
    reads pickles.
    """

    child_id: str
    shard: int
    form: str
    cursor: str
    size: int
    message_age: float | None
    data: bytes
    unpickles: bool = True

    @property
    def version(self) -> int:
        """The ``state_version`` of the class that wrote it. Raises ValueError if what stands there is no version."""
        return version_of(self.data)

    @property
    def format(self) -> str:
        """``p`` pickle, ``c`` cloudpickle, ``j`` JSON, ``m`` MessagePack."""
        return chr(self.data[self.data.index(b"\n") + 1 if self.data[:1] == b"v" else 0])

    def value(self) -> Any:
        """The state as Python values. With ``codec="data"`` plain ones, and a pickle is refused unless the hub ``reads_pickles``.

        With ``codec="pickle"`` its classes must be importable, and it is unpickled, which runs what its writer wanted: call it where you
        would run a worker. (:mod:`hubq.store.viewer` shows a state and runs nothing.) Raises :class:`~hubq.errors.HubqError`.
        """
        try:
            if self.format in "pc" and not self.unpickles:
                raise ValueError('a pickle, and codec="data" unpickles nothing')
            return decode(self.data)
        except Exception as error:
            raise HubqError(
                f"the state of {self.child_id!r} cannot be read here ({type(error).__name__}: {error}): `hubq state` shows it"
            ) from error


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that waits. ``age`` seconds since it was sent; ``deadline`` seconds left (None: it has none)."""

    entry: str
    child_id: str
    kind: str
    method: str
    age: float
    deadline: float | None
    reply_to: str
    size: int


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A shard's mailbox: how many messages wait in all, for which children, and the first of them."""

    shard: int
    messages: int
    children: dict[str, int]
    oldest: float | None
    heads: tuple[Waiting, ...]


@of_child
def saved_state(hub: HubContext, child_id: str) -> Operation[SavedState | None]:
    """The saved state of a child; None: it has not committed one yet."""
    shard = hub.shard_of(checked_child_id(child_id))
    spec, envelope, now = yield Fetch(
        [read_spec(hub.keys, shard, child_id), read_state(hub.keys, shard, child_id), redis_time_ms()]
    )
    dormant, where = False, hub.keys.msk(shard)
    if spec is None and envelope is None:
        ((dormant, envelope),) = yield Fetch([read_dormant_state(hub.keys, shard, child_id)])
        where = hub.keys.dormant(shard) if dormant else where
    if envelope is not None and envelope.malformed:
        raise Unreadable(
            f"what is saved of child {child_id!r} is malformed ({envelope.malformed}): see HGET {where} "
            f"{child_id}; stop the child, and start it anew"
        )
    if envelope is None:
        if spec is None and not dormant:
            raise UnknownChild(f"no child {child_id!r} in hub {hub.keys.hub_id!r}: see `hubq ps`")
        return None
    if hub.seal is not None and spec is not None:
        start_id, place = spec.start_id, (envelope.form, envelope.cursor)
        try:
            envelope = envelope.with_data(hub.seal.opens_state(child_id, start_id, *place, envelope.data))
        except LookupError:
            pass  # it has no key of workers
        except Unsealed as error:
            if hub.seal.keys.root:
                raise Unreadable(f"the state of child {child_id!r} is not read: {error}") from None
    sent = entry_ms(envelope.cursor)
    age = (now - sent) / 1000 if sent else None
    data = envelope.data
    unpickles = hub.config.codec == "pickle" or hub.config.reads_pickles
    return SavedState(child_id, shard, envelope.form, envelope.cursor, len(data), age, data, unpickles)


@of_child
def child_mailbox(hub: HubContext, child_id: str, count: int, most_read: int = MOST_READ) -> Operation[Mailbox]:
    """How much waits for one child, and the first ``count`` messages of it: those among the first ``most_read`` of its shard."""
    shard = hub.shard_of(checked_child_id(child_id))
    active, dormant, length, waiting, now = yield Fetch(
        [
            plain("HEXISTS", hub.keys.children(shard), child_id, read=int),
            is_dormant(hub.keys, shard, child_id),
            mailbox_length(hub.keys, shard),
            plain("HGET", hub.keys.backlog(shard), child_id, read=whole_number),
            redis_time_ms(),
        ]
    )
    if not active and not dormant and not waiting:
        raise UnknownChild(f"no child {child_id!r} in hub {hub.keys.hub_id!r}: see `hubq ps`")
    heads: list[Message] = []
    after, seen = b"0", 0
    while len(heads) < min(count, waiting) and seen < min(length, most_read):
        (page,) = yield Fetch([read_range(hub.keys, shard, after, b"+", PAGE)])
        heads += [message for message in page if message.child == child_id]
        if len(page) < PAGE:
            break
        after, seen = page[-1].entry, seen + len(page)
    first = tuple(_waiting(message, now) for message in heads[:count])
    return Mailbox(shard, waiting, {child_id: waiting} if waiting else {}, first[0].age if first else None, first)


def _by_shard(answers: Sequence[list[Mailbox]]) -> list[Mailbox]:
    return sorted(chain.from_iterable(answers), key=lambda box: box.shard)


@of_all(_by_shard)
def mailboxes(hub: HubContext, count: int) -> Operation[list[Mailbox]]:
    """Every mailbox in which messages wait, each with the first ``count`` of them."""
    shards = hub.shards
    lengths = yield Fetch([mailbox_length(hub.keys, shard) for shard in shards])
    busy = [(shard, length) for shard, length in zip(shards, lengths, strict=True) if length]
    found: list[Mailbox] = []
    for shard, length in busy:
        backlog, page, now = yield Fetch(
            [
                read_texts(hub.keys.backlog(shard)),
                read_range(hub.keys, shard, b"0", b"+", max(1, count)),
                redis_time_ms(),
            ]
        )
        heads = tuple(_waiting(message, now) for message in page)
        children = dict(sorted(((child, whole_number(n)) for child, n in backlog.items()), key=lambda each: -each[1]))
        found.append(Mailbox(shard, length, children, heads[0].age if heads else None, heads[:count]))
    return found


@of_all(joined_vitals)
def node_vitals(hub: HubContext) -> Operation[dict[str, Vitals | None]]:
    """Each member's account of itself."""
    (members,) = yield Fetch([read_nodes(hub.keys)])
    accounts = yield Fetch([read_vitals(hub.keys, name) for name in members])
    return dict(zip(members, accounts, strict=True))


def last_events(hub: HubContext, last: int, types: Collection[str]) -> Operation[tuple[str, list[Event]]]:
    """The last events (of these types), oldest first, and the id of the newest. Reads back as far as it must."""
    if not hub.groups:
        return (yield from _last_events(hub, last, types))
    asked = {context.group: _last_events(context, last, types) for context in hub.groups}
    found = yield from in_groups(asked, question=True)
    newest = [found[context.group][0] if context.group in found else "0" for context in hub.groups]
    events = merged_events({group: each for group, (_, each) in found.items()}, ["0"] * len(newest), newest_first=False)
    return ",".join(newest), events[-last:] if last else []


def _last_events(hub: HubContext, last: int, types: Collection[str]) -> Operation[tuple[str, list[Event]]]:
    (newest,) = yield Fetch([last_event_id(hub.keys)])
    found: list[Event] = []
    until = newest
    while len(found) < last:
        (page,) = yield Fetch([read_events_back(hub.keys, until, PAGE)])
        found += [event_of(entry, fields) for entry, fields in page if not types or fields.get("type") in types]
        if len(page) < PAGE:
            break
        until = "(" + page[-1][0]
    return newest, found[:last][::-1]


def _waiting(message: Message, now: int) -> Waiting:
    entry = message.entry.decode()
    return Waiting(
        entry, message.child, message.kind, message.method, (now - entry_ms(entry)) / 1000,
        (message.deadline - now) / 1000 if message.deadline else None, message.reply_to, len(message.payload),
    )  # fmt: skip


@of_all(",".join)
def newest_event(hub: HubContext) -> Operation[str]:
    """The id of the newest event."""
    (newest,) = yield Fetch([last_event_id(hub.keys)])
    return str(newest)


def next_events(hub: HubContext, after: str, wait: float) -> Operation[list[Event]]:
    """The events after this one, as soon as there are any; none after ``wait`` seconds."""
    if not hub.groups:
        return (yield from _next_events(hub, after, wait))
    # (A session that waits asks the groups one after the other.)
    places, each = places_of(after, len(hub.groups)), wait / len(hub.groups)
    found = yield from in_groups(
        {context.group: _next_events(context, places[context.group], each) for context in hub.groups}, question=True
    )
    return merged_events(found, places, newest_first=False)


def events_behind(hub: HubContext, after: str, count: int) -> Operation[list[Event]]:
    """The events after this one that are there, ``count`` of each group at most."""
    if not hub.groups:
        return (yield from _events_behind(hub, after, count))
    places = places_of(after, len(hub.groups))
    found = yield from in_groups({c.group: _events_behind(c, places[c.group], count) for c in hub.groups})
    return merged_events(found, places, newest_first=False)


def _events_behind(hub: HubContext, after: str, count: int) -> Operation[list[Event]]:
    (found,) = yield Fetch([read_events(hub.keys, after, count)])
    return [event_of(entry, fields) for entry, fields in found]


def _next_events(hub: HubContext, after: str, wait: float) -> Operation[list[Event]]:
    (found,) = yield Fetch([read_events(hub.keys, after, 500, int(wait * 1000))])
    return [event_of(entry, fields) for entry, fields in found]


@of_all(united)
def fixed_settings(hub: HubContext) -> Operation[dict[str, str]]:
    """The settings fixed in Redis when the hub was first used."""
    (settings,) = yield Fetch([read_texts(hub.keys.config)])
    if hub.config.groups == 1:
        return dict(settings)
    # (What a group says of itself is for those that look whether it is where it belongs.)
    return {"groups": str(hub.config.groups), **settings, "wire": settings.get("wire", "").partition(" ")[0]}
