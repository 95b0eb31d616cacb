"""Which hubs a Redis has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubq.client.groups import servers_of
from hubq.core.malformed import whole_number
from hubq.errors import RedisRefused, Unreadable
from hubq.store.answers import WRONG_TYPE
from hubq.store.command import pairs, plain, text
from hubq.store.connection import Server, SyncRedis
from hubq.store.keys import Keys, hub_of_config
from hubq.store.membership import groups_of_wire, read_nodes
from hubq.store.server import of_hub, primaries


@dataclass(frozen=True, slots=True)
class HubInfo:
    """A hub as it is found in Redis. ``nodes``: the names of its members (those of its first group). ``shards`` is 0 if what stands
    there is no number, ``groups`` 0 if this version does not understand it.
    """

    hub_id: str
    shards: int
    nodes: tuple[str, ...]
    groups: int = 1


def hubs(redis: str | Server | Sequence[str | Server] | None = None) -> list[HubInfo]:
    """All hubs in a Redis, by id. Reads with SCAN, so that Redis goes on serving others.

    Raises :class:`~hubq.errors.RedisUnavailable`.
    """
    found: dict[str, Server] = {}
    for server in servers_of(redis):
        for primary in primaries(server):
            found.update((name, of_hub(server, name)) for name in _names(primary))
    infos = (_info(server, name) for name, server in sorted(found.items()))
    return [info for info in infos if info is not None]


def _names(server: Server) -> set[str]:
    names: set[str] = set()
    connection, cursor = SyncRedis(server), "0"
    try:
        while True:
            scan = plain("SCAN", cursor, "MATCH", Keys("*").config, "COUNT", 1000, read=lambda found: found)
            at, found = connection.run(scan)
            names.update(name for key in found if (name := hub_of_config(text(key))))
            cursor = text(at)
            if cursor == "0":
                return names
    finally:
        connection.close()


def _info(server: Server, hub_id: str) -> HubInfo | None:
    connection, keys = SyncRedis(server), Keys(hub_id)
    try:
        config, nodes = connection.run_many([plain("HGETALL", keys.config, read=pairs), read_nodes(keys)])
    except (RedisRefused, Unreadable) as error:
        if isinstance(error, RedisRefused) and WRONG_TYPE not in str(error):
            raise
        return HubInfo(hub_id, 0, ())  # its keys are not hubq's: the other hubs are listed all the same
    finally:
        connection.close()
    if "shards" not in config:
        return None
    return HubInfo(hub_id, whole_number(config["shards"]), tuple(nodes), groups_of_wire(text(config.get("wire", b""))))
