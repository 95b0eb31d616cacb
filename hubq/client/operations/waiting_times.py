"""How long what waits for children has waited: the first message of each in its mailbox, in its outbox the first of what it has said.

Only a bounded part of a shard is read, however much waits in it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import in_groups, of_child, united
from hubq.client.asking.steps import Fetch, Operation
from hubq.core.hashing import checked_child_id
from hubq.core.messages import entry_ms
from hubq.store.mailbox import read_range
from hubq.store.membership import redis_time_ms
from hubq.store.outbox import count_held_back, outbox_length, read_held

#: Messages of a shard that are read at a time, and at most.
AT_ONCE, MOST_READ = 100, 2_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that a child has said, and that waits until the mailbox of ``child`` has room. ``method`` empty: it only starts that
    child. ``age`` seconds since its commit; ``size`` of its arguments in bytes.
    """

    entry: str
    child: str
    method: str
    age: float
    size: int


@dataclass(frozen=True, slots=True)
class Outbox:
    """What waits in the outbox of a shard (``messages``), and the first messages there that one child has said."""

    shard: int
    messages: int
    heads: tuple[Outgoing, ...]


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
    """The first ``count`` messages that a child has said and that wait: those among the first ``most_read`` of its shard's outbox."""
    shard = hub.shard_of(checked_child_id(child_id))
    length, now = yield Fetch([outbox_length(hub.keys, shard), redis_time_ms()])
    heads: list[Outgoing] = []
    after, read = "", 0
    while read < min(length, most_read) and len(heads) < count:
        (page,) = yield Fetch([read_held(hub.keys, shard, after, AT_ONCE)])
        heads += [
            Outgoing(held.entry, held.child, held.method, (now - entry_ms(held.entry)) / 1000, held.size)
            for held in page
            if held.sender == child_id
        ]
        if len(page) < AT_ONCE:
            break
        after, read = page[-1].entry, read + len(page)
    return Outbox(shard, length, tuple(heads[:count]))


@of_child
def held_back(hub: HubContext, child_id: str) -> Operation[int]:
    """How many messages for a child wait in the outboxes of all shards, because its mailbox was full."""
    counts = yield Fetch([count_held_back(hub.keys, shard, child_id) for shard in hub.shards])
    return sum(counts)
