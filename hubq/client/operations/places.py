"""Where a listing of children stands: a text that its reader gives back, and how much of the hub is behind it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import fetch_of_shards
from hubq.client.asking.steps import Operation
from hubq.client.operations.listing import Query
from hubq.errors import ConfigError
from hubq.store.dormant import count_dormant
from hubq.store.registry import count_children, count_waiting

_PLACE = re.compile(r"\d{1,6}(\.\d{1,20}(\.\d{1,12})?)?(,\d{1,6}\.\d{1,20}(\.\d{1,12})?)*(,\d{1,6})?")


def read_place(after: str, shards: int) -> tuple[list[tuple[int, str]], dict[int, int]]:
    """Shards and cursors that are left, and how many children were looked at of a shard that was read in part: ``3.17.500,4.0,5`` is of
    3 and 4 a part, of 5 and those behind it everything. Raises :class:`~hubq.errors.ConfigError` for what is no place.
    """
    if not after:
        return [(shard, "0") for shard in range(shards)], {}
    parts = [part.split(".") for part in after.split(",")] if _PLACE.fullmatch(after) else []
    left = [(int(part[0]), part[1] if len(part) > 1 else "0") for part in parts]
    if not left or max(left)[0] >= shards:
        raise ConfigError(
            f"{after[:200]!r} is no place in a listing: give what the page before had as `next`, or nothing"
        )
    if "." not in after.rpartition(",")[2]:
        left += [(shard, "0") for shard in range(left[-1][0] + 1, shards)]
    return left, {int(part[0]): int(part[2]) for part in parts if len(part) > 2}


def write_place(left: Sequence[tuple[int, str]], looked: Mapping[int, int]) -> str:
    """The reverse.

    >>> write_place([(3, "17"), (5, "0"), (6, "0")], {3: 500}), read_place("3.17.500,5", 7), write_place([], {})
    ('3.17.500,5', ([(3, '17'), (5, '0'), (6, '0')], {3: 500}), '')
    """
    begun = [f"{shard}.{cursor}.{looked.get(shard, 0)}" for shard, cursor in left if cursor != "0"]
    fresh = [str(shard) for shard, cursor in left if cursor == "0"]
    return ",".join([*begun, *fresh[:1]])


def looked_at(hub: HubContext, query: Query, after: str) -> Operation[tuple[int, int]]:
    """At about how many children a listing has looked when it has come to this place, and how many there are: those for which messages
    wait, if only such are meant, or the dormant ones.

    Raises :class:`~hubq.errors.ConfigError` for what is no place.
    """
    left, looked = read_place(after, hub.config.shards)
    count = count_dormant if query.status == "dormant" else count_waiting if query.at_mailboxes else count_children
    counts = yield from fetch_of_shards(
        hub, [(shard, count(hub.of_shard(shard).keys, shard)) for shard in range(hub.config.shards)]
    )
    return behind(left, looked, counts), sum(counts)


def behind(left: Sequence[tuple[int, str]], looked: Mapping[int, int], counts: Sequence[int]) -> int:
    """How many children were looked at: of a shard that was read to its end all, of another one never more than it has.

    >>> behind([(1, "17"), (2, "5"), (3, "0")], {1: 500, 2: 40}, [70, 300, 50, 90])
    410
    """
    begun = dict.fromkeys((shard for shard, _ in left), 0) | dict(looked)
    return sum(min(count, begun.get(shard, count)) for shard, count in enumerate(counts))
