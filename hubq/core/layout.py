"""Where a hub with several groups lies: which group a shard is in, and what the keys of a group begin with.

Group 0 has the keys of a hub with one group. Each further group has a suffix behind the hub's id, and a ``:`` before it, which no
hub id has. Suffixes are chosen so that the slots of all groups lie evenly over a Redis Cluster, wherever its primaries divide it.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterable
from functools import lru_cache

#: The slots of a Redis Cluster.
SLOTS = 16_384
#: The most groups of a hub: more primaries than any hub has.
MOST_GROUPS = 64


def slot(tag: str) -> int:
    """The slot of all keys with this tag in braces.

    >>> slot("chat")
    14028
    """
    return crc_hqx(tag.encode(), 0) % SLOTS


def group_of(shard: int, groups: int) -> int:
    """The group that a shard is in.

    >>> [group_of(shard, 4) for shard in (0, 1, 5, 63)]
    [0, 1, 1, 3]
    """
    return shard % groups


def groups_of(shards: Iterable[int], groups: int) -> list[int]:
    """The groups that these shards are in.

    >>> groups_of((0, 1, 5, 63), 4)
    [0, 1, 1, 3]
    """
    return [shard % groups for shard in shards]


def shards_of(group: int, groups: int, shards: int) -> range:
    """The shards of a group.

    >>> list(shards_of(1, 4, 16))
    [1, 5, 9, 13]
    """
    return range(group, shards, groups)


@lru_cache(maxsize=1024)
def tag_of(hub_id: str, group: int, groups: int) -> str:
    """What stands in the braces of all keys of a group.

    Its slot is at most a 32nd of the distance between two groups beside the place that the group has if all lie evenly.

    >>> [tag_of("chat", group, 4) for group in range(4)]
    ['chat', 'chat:1.25', 'chat:2.8', 'chat:3.65']
    >>> [round((slot(tag_of("chat", group, 4)) - slot("chat")) % SLOTS * 4 / SLOTS, 2) for group in range(4)]
    [0.0, 0.99, 1.98, 3.02]
    """
    if group == 0:
        return hub_id
    place, tolerance = slot(hub_id) + group * SLOTS // groups, SLOTS // groups // 32
    number = 0
    while True:
        tag = f"{hub_id}:{group}.{number}"
        if (slot(tag) - place + tolerance) % SLOTS <= 2 * tolerance:
            return tag
        number += 1


def hub_of_tag(tag: str) -> str:
    """The hub of a tag.

    >>> hub_of_tag("chat"), hub_of_tag("chat:3.17")
    ('chat', 'chat')
    """
    return tag.partition(":")[0]


def primary_of(group: int, primaries: int) -> int:
    """Which of several plain primaries has a group.

    >>> [primary_of(group, 3) for group in range(4)]
    [0, 1, 2, 0]
    """
    return group % primaries
