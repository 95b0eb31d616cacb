"""The settings that are fixed with a hub, read where nobody knows yet how many groups it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hubq.core.layout import MOST_GROUPS
from hubq.store.answers import LOST, unavailable
from hubq.store.command import plain, text
from hubq.store.connection import Server, SyncRedis
from hubq.store.keys import Keys
from hubq.store.membership import groups_of_wire
from hubq.store.server import ANSWER_TIMEOUT, raw


@dataclass(frozen=True, slots=True)
class Fixed:
    """What stands in a ``config``: ``shards`` may be no number. ``groups`` is 0 if this version does not understand it."""

    shards: bytes
    groups: int
    key: str
    server: Server


def read_fixed(server: Server, hub_id: str) -> Fixed | None:
    """What the first group says, or the only one; None: there is no such hub. Raises :class:`~hubq.errors.RedisUnavailable`."""
    connection, key = SyncRedis(server), Keys(hub_id).config
    try:
        shards, wire = connection.run(plain("HMGET", key, "shards", "wire", read=lambda found: found))
    finally:
        connection.close()
    return None if shards is None else Fixed(shards, groups_of_wire(text(wire or b"1")), key, server)


def look_for_fixed(server: Server, hub_id: str, places: Iterable[tuple[int, int]]) -> Fixed | None:
    """What a further group says that is there: ``places`` are groups, and of how many, in which it may be. What is refused (a group of
    another node of a cluster, one that this user may not read) is passed over. Raises :class:`~hubq.errors.RedisUnavailable`.
    """
    wanted = {Keys(hub_id, group, groups).config: groups for group, groups in places}
    client: Any = raw(server.sync_client(ANSWER_TIMEOUT))
    try:
        pipeline = client.pipeline(transaction=False)
        for key in wanted:
            pipeline.execute_command("HMGET", key, "shards", "wire")
        answers = pipeline.execute(raise_on_error=False)
    except LOST as error:
        raise unavailable(server, error) from error
    finally:
        client.close()
    for (key, groups), answer in zip(wanted.items(), answers, strict=True):
        if isinstance(answer, list) and answer[0] is not None and groups_of_wire(text(answer[1] or b"")) == groups:
            return Fixed(answer[0], groups, key, server)
    return None


def places_at(primary: int, primaries: int) -> list[tuple[int, int]]:
    """The group that each hub over several plain primaries has at one of them, whatever the number of its groups.

    >>> places_at(1, 3)[:3], len(places_at(1, 3))
    ([(1, 3), (1, 4), (1, 5)], 62)
    """
    return [(primary, groups) for groups in range(primaries, MOST_GROUPS + 1)]


def places_in_cluster() -> list[tuple[int, int]]:
    """Groups that lie on both sides of the first one, and opposite: one primary seldom has them all.

    >>> places_in_cluster()[:4]
    [(1, 2), (1, 3), (2, 3), (1, 4)]
    """
    return [
        (group, groups) for groups in range(2, MOST_GROUPS + 1) for group in sorted({1, groups // 2, groups - 1} - {0})
    ]
