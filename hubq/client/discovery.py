"""Which hubs a Redis has."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.config import redis_url
from hubq.core.malformed import whole_number
from hubq.errors import RedisRefused, Unreadable
from hubq.store.answers import WRONG_TYPE
from hubq.store.command import pairs, plain, text
from hubq.store.connection import RedisServer, Server, SyncRedis
from hubq.store.keys import Keys, hub_of_config
from hubq.store.membership import read_nodes
from hubq.store.server import of_hub, primaries


@dataclass(frozen=True, slots=True)
class HubInfo:
    """A hub as it is found in Redis. ``nodes``: the names of its members. ``shards`` is 0 if what stands there is no number."""

    hub_id: str
    shards: int
    nodes: tuple[str, ...]


def hubs(redis: str | Server | None = None) -> list[HubInfo]:
    """All hubs in a Redis, by id. Reads with SCAN, so that Redis goes on serving others.

    Raises :class:`~hubq.errors.RedisUnavailable`.
    """
    server: Server = RedisServer(redis_url(redis)) if redis is None or isinstance(redis, str) else redis
    names: set[str] = set()
    for primary in primaries(server):
        names |= _names(primary)
    infos = (_info(of_hub(server, name), name) for name in sorted(names))
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
    return HubInfo(hub_id, whole_number(config["shards"]), tuple(nodes)) if "shards" in config else None
