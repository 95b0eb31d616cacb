"""Which hubs a Redis has."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.config import redis_url
from hubq.store.command import pairs, plain, text
from hubq.store.connection import RedisServer, Server, SyncRedis
from hubq.store.keys import Keys, hub_of_config
from hubq.store.membership import read_nodes


@dataclass(frozen=True, slots=True)
class HubInfo:
    """A hub as it is found in Redis. ``nodes``: the names of its members."""

    hub_id: str
    shards: int
    nodes: tuple[str, ...]


def hubs(redis: str | Server | None = None) -> list[HubInfo]:
    """All hubs in a Redis, by id. Reads with SCAN, so that Redis goes on serving others.

    Raises :class:`~hubq.errors.RedisUnavailable`.
    """
    server: Server = RedisServer(redis_url(redis)) if redis is None or isinstance(redis, str) else redis
    connection = SyncRedis(server)
    try:
        names: set[str] = set()
        cursor = "0"
        while True:
            scan = plain("SCAN", cursor, "MATCH", Keys("*").config, "COUNT", 1000, read=lambda found: found)
            at, found = connection.run(scan)
            names.update(name for key in found if (name := hub_of_config(text(key))))
            cursor = text(at)
            if cursor == "0":
                break
        infos: list[HubInfo] = []
        for name in sorted(names):
            keys = Keys(name)
            config, nodes = connection.run_many([plain("HGETALL", keys.config, read=pairs), read_nodes(keys)])
            if "shards" in config:
                infos.append(HubInfo(name, int(config["shards"]), tuple(nodes)))
        return infos
    finally:
        connection.close()
