"""Looking at a hub without touching it: a child's saved state, what waits in mailboxes, what happened, the settings.

Nothing here consumes or changes anything, and nothing asks the children themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Fetch, Operation
from hubq.client.operations.partition import partitioned
from hubq.core.diagnosis import Finding, diagnose
from hubq.core.hashing import checked_child_id
from hubq.core.messages import entry_ms
from hubq.errors import HubqError, UnknownChild
from hubq.store.codec import decode
from hubq.store.command import plain
from hubq.store.control import last_event_id, read_events, read_events_back
from hubq.store.mailbox import Message, mailbox_length, read_range
from hubq.store.membership import read_nodes, redis_time_ms
from hubq.store.registry import read_spec, read_state, read_texts
from hubq.store.strangers import lets_strangers_in
from hubq.store.vitals import Vitals, read_vitals

if TYPE_CHECKING:
    from hubq.client.hub import Hub
    from hubq.client.operations.overview import Glance

#: Entries of one mailbox read at a time, and read at most, when looking for the messages of one child.
PAGE, MOST_READ = 500, 50_000


@dataclass(frozen=True, slots=True)
class SavedState:
    """What ``msk`` holds of a child. ``form`` is "attributes" or "handed"; ``cursor`` the last message it contains.

    ``data`` begins with a byte for its format; ``size`` is its length in bytes. ``message_age`` is how long ago that
    last message was sent, seconds (None: the state holds no message yet).
    """

    child_id: str
    shard: int
    form: str
    cursor: str
    size: int
    message_age: float | None
    data: bytes

    def value(self) -> Any:
        """The state as Python values; its classes must be importable. Raises :class:`~hubq.errors.HubqError`."""
        try:
            return decode(self.data)
        except Exception as error:
            raise HubqError(
                f"the state of {self.child_id!r} cannot be read here ({type(error).__name__}: {error}): "
                "give HUB as module:attribute where its classes can be imported, or take --raw"
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


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the events stream. ``at`` is Redis TIME, seconds since the epoch."""

    id: str
    at: float
    type: str
    fields: dict[str, str]


def saved_state(hub: HubContext, child_id: str) -> Operation[SavedState | None]:
    """The saved state of a child; None: it has not committed one yet."""
    shard = hub.shard_of(checked_child_id(child_id))
    spec, envelope, now = yield Fetch(
        [read_spec(hub.keys, shard, child_id), read_state(hub.keys, shard, child_id), redis_time_ms()]
    )
    if envelope is None:
        if spec is None:
            raise UnknownChild(f"no child {child_id!r} in hub {hub.keys.hub_id!r}: see `hubq ps`")
        return None
    sent = entry_ms(envelope.cursor)
    age = (now - sent) / 1000 if sent else None
    return SavedState(child_id, shard, envelope.form, envelope.cursor, len(envelope.data), age, envelope.data)


def child_mailbox(hub: HubContext, child_id: str, count: int) -> Operation[Mailbox]:
    """What waits for one child, with its first ``count`` messages."""
    shard = hub.shard_of(checked_child_id(child_id))
    exists, length, waiting, now = yield Fetch(
        [
            plain("HEXISTS", hub.keys.children(shard), child_id, read=int),
            mailbox_length(hub.keys, shard),
            plain("HGET", hub.keys.backlog(shard), child_id, read=lambda found: int(found or 0)),
            redis_time_ms(),
        ]
    )
    if not exists and not waiting:
        raise UnknownChild(f"no child {child_id!r} in hub {hub.keys.hub_id!r}: see `hubq ps`")
    heads: list[Message] = []
    after, seen = b"0", 0
    while len(heads) < min(count, waiting) and seen < min(length, MOST_READ):
        (page,) = yield Fetch([read_range(hub.keys, shard, after, b"+", PAGE)])
        heads += [message for message in page if message.child == child_id]
        if len(page) < PAGE:
            break
        after, seen = page[-1].entry, seen + len(page)
    first = tuple(_waiting(message, now) for message in heads[:count])
    return Mailbox(shard, waiting, {child_id: waiting} if waiting else {}, first[0].age if first else None, first)


def mailboxes(hub: HubContext, count: int) -> Operation[list[Mailbox]]:
    """Every mailbox in which something waits, each with its first ``count`` messages."""
    shards = range(hub.config.shards)
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
        children = {child: int(n) for child, n in sorted(backlog.items(), key=lambda item: -int(item[1]))}
        found.append(Mailbox(shard, length, children, heads[0].age if heads else None, heads[:count]))
    return found


def node_vitals(hub: HubContext) -> Operation[dict[str, Vitals | None]]:
    """What the members say of themselves."""
    (members,) = yield Fetch([read_nodes(hub.keys)])
    accounts = yield Fetch([read_vitals(hub.keys, name) for name in members])
    return dict(zip(members, accounts, strict=True))


def last_events(hub: HubContext, last: int, types: Collection[str]) -> Operation[tuple[str, list[Event]]]:
    """See :meth:`Inspector.events`. Reads back as far as it must."""
    (newest,) = yield Fetch([last_event_id(hub.keys)])
    found: list[Event] = []
    until = newest
    while len(found) < last:
        (page,) = yield Fetch([read_events_back(hub.keys, until, PAGE)])
        found += [_event(entry, fields) for entry, fields in page if not types or fields.get("type") in types]
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


def _event(entry: str, fields: dict[str, str]) -> Event:
    return Event(
        entry, entry_ms(entry) / 1000, fields.get("type", ""), {k: v for k, v in fields.items() if k != "type"}
    )


class Inspector:
    """``hub.inspect``: see the functions of :mod:`hubq.client.operations.inspection`. All of it waits for Redis."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def state(self, child_id: str) -> SavedState | None:
        """The saved state of a child; None if it has not committed one. Raises :class:`~hubq.errors.UnknownChild`."""
        return self._hub._drive(saved_state(self._hub._context, child_id))

    def partitioned(self) -> str:
        """Since when the hub has no quorum, with how many nodes, and how many it needs; empty while it has one."""
        return self._hub._drive(partitioned(self._hub._context))

    def mailbox(self, child_id: str, count: int = 10) -> Mailbox:
        """What waits for a child. Raises :class:`~hubq.errors.UnknownChild`."""
        return self._hub._drive(child_mailbox(self._hub._context, child_id, count))

    def mailboxes(self, count: int = 1) -> list[Mailbox]:
        """The mailboxes in which something waits."""
        return self._hub._drive(mailboxes(self._hub._context, count))

    def events(self, last: int = 20, types: Collection[str] = ()) -> tuple[str, list[Event]]:
        """The last events (of these types), oldest first; and the id from which to :meth:`follow`."""
        return self._hub._drive(last_events(self._hub._context, last, types))

    def follow(self, after: str | None = None, *, wait: float = 1.0) -> Iterator[list[Event]]:
        """New events as they come, for ever; an empty list after ``wait`` seconds (below 5) without any."""
        keys = self._hub.keys
        last = after if after is not None else self._hub._drive(_fetch_one(last_event_id(keys)))
        while True:
            found = self._hub._drive(_fetch_one(read_events(keys, last, 500, int(wait * 1000))))
            if found:
                last = found[-1][0]
            yield [_event(entry, fields) for entry, fields in found]

    def vitals(self) -> dict[str, Vitals | None]:
        """Each node's account of itself; None for a node that has not written one lately."""
        return self._hub._drive(node_vitals(self._hub._context))

    def glance(self, events: int = 10) -> Glance:
        """The hub at one glance (``hubq top``), with its last events."""
        from hubq.client.operations.overview import glance

        return self._hub._drive(glance(self._hub._context, events))

    def diagnosis(self) -> list[Finding]:
        """What is wrong with the hub (``hubq doctor``), the most pressing first; empty if nothing is."""
        from hubq.client.operations.diagnosis import gather

        server = self._hub.server
        facts = self._hub._drive(gather(self._hub._context, server.address, lets_strangers_in(server)))
        return diagnose(facts)

    def settings(self) -> dict[str, str]:
        """The settings fixed in Redis when the hub was first used."""
        return self._hub._drive(_fetch_one(read_texts(self._hub.keys.config)))


def _fetch_one(command: Any) -> Operation[Any]:
    (answer,) = yield Fetch([command])
    return answer
