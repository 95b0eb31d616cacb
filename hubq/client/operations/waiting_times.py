"""How long what waits for children has waited: the first message of each in its mailbox, in its outbox the first of what it has said.

Only a bounded part of a shard is read, however much waits in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import in_groups, of_child, united
from hubq.client.asking.steps import Fetch, Operation
from hubq.core.entry_ids import entry_ms
from hubq.core.hashing import checked_child_id
from hubq.store.command import Command
from hubq.store.far import far_length
from hubq.store.mailbox import read_range
from hubq.store.membership import redis_time_ms
from hubq.store.outbox import Held, count_held_back, outbox_length, read_held

#: Messages of a shard that are read at a time, and at most.
AT_ONCE, MOST_READ = 100, 2_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that a child has said, and that waits until the mailbox of ``child`` has room. ``method`` empty: it only starts that
    child. ``age`` seconds since its commit (None: it is for another group, and nobody knows); ``size`` of its arguments in bytes.
    """

    entry: str
    child: str
    method: str
    age: float | None
    size: int


@dataclass(frozen=True, slots=True)
class Outbox:
    """What waits in the outboxes of a shard (``messages``), and the first messages there that one child has said."""

    shard: int
    messages: int
    heads: tuple[Outgoing, ...]


@dataclass(frozen=True, slots=True)
class InOutboxes:
    """What waits in outboxes and concerns one child: how many messages for it, and what it has said itself."""

    held_back: int
    outbox: Outbox


def oldest_messages(
    hub: HubContext, children: Mapping[int, Collection[str]], at_least: float = 0.0, most_read: int = MOST_READ
) -> Operation[dict[str, float]]:
    """How long ago the oldest message was sent that waits for each of these children (given by shard), seconds.

    It has those whose oldest message is ``at_least`` so many seconds old, and among the first ``most_read`` of its shard.
    """
    if hub.groups:
        groups: dict[int, dict[int, Collection[str]]] = {}
        for shard, some in children.items():
            groups.setdefault(hub.of_shard(shard).group, {})[shard] = some
        parts = {g: oldest_messages(hub.groups[g], some, at_least, most_read) for g, some in groups.items()}
        return united(list((yield from in_groups(parts)).values()))
    wanted = {shard: set(some) for shard, some in children.items() if some}
    if not wanted:
        return {}
    (now,) = yield Fetch([redis_time_ms()])
    until = str(max(0, now - int(at_least * 1000))).encode() if at_least else b"+"
    places, found, read = dict.fromkeys(wanted, b"0"), dict[str, float](), 0
    while places and read < most_read:
        pages = yield Fetch([read_range(hub.keys, shard, place, until, AT_ONCE) for shard, place in places.items()])
        read += AT_ONCE
        for shard, page in zip(list(places), pages, strict=True):
            left = wanted[shard]
            for message in page:
                if message.child in left:
                    left.discard(message.child)
                    found[message.child] = (now - entry_ms(message.entry.decode())) / 1000
            if left and len(page) == AT_ONCE:
                places[shard] = page[-1].entry
            else:
                del places[shard]
    return found


@of_child
def child_outbox(hub: HubContext, child_id: str, count: int, most_read: int = MOST_READ) -> Operation[Outbox]:
    """The first ``count`` messages that a child has said and that wait: those among the first ``most_read`` of each outbox of its shard."""
    shard = hub.shard_of(checked_child_id(child_id))
    others: list[int | None] = [group for group in range(hub.config.groups) if group != hub.group]
    lengths = yield Fetch([_length(hub, shard, far) for far in (None, *others)])
    (now,) = yield Fetch([redis_time_ms()])
    heads: list[Outgoing] = []
    for far, length in zip((None, *others), lengths, strict=True):
        for held in (yield from _held(hub, shard, far, min(length, most_read))) if len(heads) < count else ():
            if held.sender == child_id:
                age = (now - entry_ms(held.entry)) / 1000 if far is None else None
                heads.append(Outgoing(held.entry, held.child, held.method, age, held.size))
    return Outbox(shard, sum(lengths), tuple(heads[:count]))


def _length(hub: HubContext, shard: int, far: int | None) -> Command[int]:
    return outbox_length(hub.keys, shard) if far is None else far_length(hub.keys, shard, far)


def _held(hub: HubContext, shard: int, far: int | None, most: int) -> Operation[list[Held]]:
    """The first ``most`` messages of an outbox, or a few more."""
    found: list[Held] = []
    while len(found) < most:
        (page,) = yield Fetch([read_held(hub.keys, shard, found[-1].entry if found else "", AT_ONCE, far)])
        found += page
        if len(page) < AT_ONCE:
            break
    return found


def in_outboxes(hub: HubContext, child_id: str, count: int) -> Operation[InOutboxes]:
    """How much waits in outboxes for a child, and the first ``count`` messages there that it has said."""
    held = yield from held_back(hub, child_id)
    return InOutboxes(held, (yield from child_outbox(hub, child_id, count)))


def held_back(hub: HubContext, child_id: str) -> Operation[int]:
    """How many messages for a child wait in the outboxes of all shards, because its mailbox was full, or its group is away. Of an outbox
    to another group at most the first :data:`MOST_READ` messages are looked at. Groups that do not answer may be left out.
    """
    group = hub.group_of(child_id)
    if not hub.groups:
        return (yield from _held_back(hub, child_id, group))
    asked = {context.group: _held_back(context, child_id, group) for context in hub.groups}
    return sum((yield from in_groups(asked, question=True)).values())


def _held_back(hub: HubContext, child_id: str, group: int) -> Operation[int]:
    if group == hub.group:
        return sum((yield Fetch([count_held_back(hub.keys, shard, child_id) for shard in hub.shards])))
    lengths = yield Fetch([far_length(hub.keys, shard, group) for shard in hub.shards])
    found = 0
    for shard, length in zip(hub.shards, lengths, strict=True):
        if length:
            said = yield from _held(hub, shard, group, min(length, MOST_READ))
            found += sum(held.child == child_id for held in said)
    return found
