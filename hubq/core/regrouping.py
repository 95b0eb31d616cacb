"""What becomes of each key of a hub that is moved to another number of groups: shards stay what they are, their groups do not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import NamedTuple

#: In front of the names of keys (behind the prefix of their group): those of the source, moved out of the way; those of the target,
#: until all is there and compared; what is known of the move.
ASIDE, COMING, RECORD = "aside:", "coming:", "regroup"

_OF_SHARD = re.compile(r"shard:(\d{1,6}):(([a-z]+).*)", re.DOTALL)
_OUTBOX = re.compile(r"outbox(:waiting|:\d{1,6}(:number)?)?")

#: The kinds of keys of a shard, by the first word of their names.
_KINDS = {
    "children": "children", "dormant": "dormant children", "msk": "states", "mailbox": "messages", "backlog": "backlog",
    "reminders": "reminders", "feed": "feeds", "kept": "kept replies", "dead": "dead letters", "jobs": "jobs",
    "outbox": "outboxes",
}  # fmt: skip


class Way(Enum):
    """What is done with a key."""

    OF_SHARD = "goes to the group of its shard, as it is"
    OUTBOX = "its messages go into the outboxes of their new groups"
    OF_FIELDS = "each field goes to the group of its shard or child"
    OF_CHILD = "goes to the group of its child, as it is"
    EVERYWHERE = "goes to each group"
    HIGHEST = "the highest number goes to each group"
    BATCH = "goes, with a count of its own, to each group that has marks of it"
    EVENTS = "all events go to the first group"
    LEFT = "is moved out of the way, and not copied"
    SENDER = "is copied to each group, and stays where it is"
    STAYS = "stays where it is"
    UNKNOWN = "stays where it is: it is no key of hubq's"


class Place(NamedTuple):
    """What is done with a key, what it is called when it is counted, and its shard or its child."""

    way: Way
    kind: str
    shard: int = -1
    child: str = ""


_FIXED = {
    "owners": Place(Way.OF_FIELDS, "owners"), "pins": Place(Way.OF_FIELDS, "pins"),
    "stragglers": Place(Way.OF_FIELDS, "pins"), "static": Place(Way.OF_FIELDS, "static children"),
    "epoch": Place(Way.HIGHEST, "epochs"), "pins_epoch": Place(Way.HIGHEST, "epochs"),
    "pauses": Place(Way.EVERYWHERE, "settings"), "quorum": Place(Way.EVERYWHERE, "settings"),
    "partitioned": Place(Way.EVERYWHERE, "settings"), "rollout": Place(Way.EVERYWHERE, "settings"),
    "events": Place(Way.EVENTS, "events"), "nodes": Place(Way.LEFT, ""), "leases": Place(Way.LEFT, ""),
    "assignment": Place(Way.LEFT, ""), "config": Place(Way.STAYS, ""), RECORD: Place(Way.STAYS, ""),
}  # fmt: skip


def place_of(name: str) -> Place:
    """What is done with the key of this name (without the prefix of its group).

    >>> place_of("shard:3:mailbox")[1:3], place_of("shard:3:outbox:1").way.name, place_of("owners").way.name
    (('messages', 3), 'OUTBOX', 'OF_FIELDS')
    """
    found = _FIXED.get(name)
    if found is not None:
        return found
    of_shard = _OF_SHARD.fullmatch(name)
    if of_shard is not None:
        way = Way.OUTBOX if _OUTBOX.fullmatch(of_shard[2]) else Way.OF_SHARD
        return Place(way, _KINDS.get(of_shard[3], "other keys of shards"), int(of_shard[1]))
    first, colon, rest = name.partition(":")
    if not colon:
        return Place(Way.UNKNOWN, "")
    match first:
        case "sender":
            return Place(Way.STAYS if rest.startswith("shard-") else Way.SENDER, "windows of senders")
        case "result":
            return Place(Way.OF_CHILD, "results of jobs", child=rest)
        case "batch":
            return Place(Way.BATCH, "starts of all or none", child=rest)
        case "node":
            return Place(Way.LEFT, "")
        case "reply" | "aside" | "coming" | "regroup":
            return Place(Way.STAYS, "")
    return Place(Way.UNKNOWN, "")


def goes_aside(name: str) -> bool:
    """Whether a key of the source is moved out of the way."""
    return place_of(name).way not in (Way.STAYS, Way.SENDER, Way.UNKNOWN)


def owner_after(line: str) -> str:
    """The owner line of a shard in the target: a node that is frozen, and knows the line of the source, is fenced by it. That
    the node was there stays: it has crashed if it has not left.

    >>> owner_after("a 3 7"), owner_after("- 0 7")
    ('a 3 8', '- 0 7')
    """
    node, _, rest = line.partition(" ")
    incarnation, _, token = rest.partition(" ")
    return line if node == "-" or not token.isdecimal() else f"{node} {incarnation} {int(token) + 1}"


def was_taken(window: Mapping[str, str], number: int) -> bool:
    """Whether a receiver's window (``lua/_window.lua``) has this number, or is past it.

    >>> was_taken({"top": "34", "1": "4"}, 34), was_taken({"top": "34", "1": "4"}, 33), was_taken({}, 1)
    (True, False, False)
    """
    top = int(window.get("top", "0"))
    if number > top:
        return False
    block = number // 32
    if top // 32 - block >= 63:
        return True
    return bool(int(window.get(str(block % 64), "0")) >> (number % 32) & 1)


def joined_windows(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """A window that has the numbers of both.

    >>> joined_windows({"top": 34, "0": 2, "1": 4}, {"top": 2, "0": 4})
    {'top': 34, '0': 6, '1': 4}
    """
    newer, older = (one, other) if one.get("top", 0) >= other.get("top", 0) else (other, one)
    last, before = newer.get("top", 0) // 32, older.get("top", 0) // 32
    joined = dict(newer)
    for word in range(64):
        if (
            older.get(str(word)) and last - (last - word) % 64 == before - (before - word) % 64
        ):  # the same block of numbers
            joined[str(word)] = joined.get(str(word), 0) | older[str(word)]
    return joined


def in_time(events: Sequence[tuple[bytes, ...]]) -> list[tuple[bytes, ...]]:
    """Events of several groups as those of one: in the order of their ids, and each id once.

    >>> in_time([(b"5-0", b"b"), (b"4-1", b"a"), (b"5-0", b"c")])
    [(b'4-1', b'a'), (b'5-0', b'b'), (b'5-1', b'c')]
    """
    found: list[tuple[bytes, ...]] = []
    last = (0, 0)
    for entry, *rest in sorted(events, key=lambda event: parsed(event[0])):
        at = parsed(entry)
        last = at if at > last else (last[0], last[1] + 1)
        found.append((b"%d-%d" % last, *rest))
    return found


def parsed(entry: bytes) -> tuple[int, int]:
    """The two numbers of the id of a stream's entry."""
    first, _, second = entry.partition(b"-")
    return int(first), int(second or 0)
