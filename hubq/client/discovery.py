"""Which hubs a Redis has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from hubq.client.asking.side_by_side import side_by_side
from hubq.client.groups import servers_of
from hubq.core.layout import hub_of_tag
from hubq.core.malformed import whole_number
from hubq.errors import RedisRefused, RedisUnavailable, Unreadable
from hubq.store.answers import LOST, WRONG_TYPE, unavailable
from hubq.store.command import pairs, plain, text
from hubq.store.connection import Server, SyncRedis
from hubq.store.keys import Keys, tag_of_config
from hubq.store.membership import groups_of_wire, read_nodes
from hubq.store.server import primaries


@dataclass(frozen=True, slots=True)
class HubInfo:
    """A hub as it is found in Redis. ``nodes``: the names of its members (those of its first group). ``shards`` is 0 if what stands
    there is no number, ``groups`` 0 if this version does not understand it.
    """

    hub_id: str
    shards: int
    nodes: tuple[str, ...]
    groups: int = 1


@dataclass(frozen=True, slots=True)
class HubsFound:
    """The hubs that the primaries know which answer, and why the others do not."""

    hubs: list[HubInfo]
    away: list[RedisUnavailable]


def hubs(redis: str | Server | Sequence[str | Server] | None = None) -> list[HubInfo]:
    """All hubs in a Redis, by id. Reads with SCAN, so that Redis goes on serving others.

    Raises :class:`~hubq.errors.RedisUnavailable`.
    """
    found = look_for_hubs(redis)
    if found.away:
        raise found.away[0]
    return found.hubs


def look_for_hubs(redis: str | Server | Sequence[str | Server] | None = None) -> HubsFound:
    """The same of the primaries that answer. All are asked at once. A hub of which the first group does not answer is told as one of its
    further groups knows it.

    Raises :class:`~hubq.errors.RedisUnavailable` if none answers.
    """
    servers = list(chain.from_iterable(map(_primaries, servers_of(redis))))
    outcomes = side_by_side({number: partial(_hubs_at, server) for number, server in enumerate(servers)})
    away: list[RedisUnavailable] = []
    answers: list[dict[str, HubInfo]] = []
    for number in range(len(servers)):
        error = outcomes[number].error
        if isinstance(error, RedisUnavailable) and not isinstance(error, RedisRefused):
            away.append(error)
        else:
            answers.append(outcomes[number].result())
    if not answers:
        raise away[0]
    return HubsFound(_joined(answers, partly=bool(away)), away)


def _primaries(server: Server) -> list[Server]:
    try:
        return primaries(server)
    except LOST as error:
        raise unavailable(server, error) from error


def _joined(answers: Sequence[Mapping[str, HubInfo]], partly: bool) -> list[HubInfo]:
    """What the first group of each hub says. ``partly``: that may be away, and any group is believed. (Else a hub without a first group
    is what is left of one.)
    """
    told = {tag: info for answer in answers for tag, info in answer.items()}
    found = {hub_of_tag(tag): info for tag, info in told.items() if partly or hub_of_tag(tag) == tag}
    found |= {tag: info for tag, info in told.items() if hub_of_tag(tag) == tag}
    return [info for _, info in sorted(found.items())]


def _hubs_at(server: Server) -> dict[str, HubInfo]:
    """What one primary knows of hubs: by the tag of the group."""
    connection = SyncRedis(server)
    try:
        told = ((tag, _info(connection, tag)) for tag in sorted(set(_tags(connection))))
        return {tag: info for tag, info in told if info is not None}
    finally:
        connection.close()


def _tags(connection: SyncRedis) -> Iterator[str]:
    cursor = "0"
    while True:
        scan = plain("SCAN", cursor, "MATCH", Keys("*").config, "COUNT", 1000, read=lambda found: found)
        at, found = connection.run(scan)
        yield from (tag for key in found if (tag := tag_of_config(text(key))))
        cursor = text(at)
        if cursor == "0":
            return


def _info(connection: SyncRedis, tag: str) -> HubInfo | None:
    hub_id, keys = hub_of_tag(tag), Keys(tag)
    try:
        config, nodes = connection.run_many([plain("HGETALL", keys.config, read=pairs), read_nodes(keys)])
    except (RedisRefused, Unreadable) as error:
        if isinstance(error, RedisRefused) and WRONG_TYPE not in str(error):
            raise
        return HubInfo(hub_id, 0, ())  # its keys are not hubq's: the other hubs are listed all the same
    if "shards" not in config:
        return None
    return HubInfo(hub_id, whole_number(config["shards"]), tuple(nodes), groups_of_wire(text(config.get("wire", b""))))
