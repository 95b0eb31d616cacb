"""The groups of a hub: the facts of each, where it is, and who asks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hubq.client.asking.context import HubContext
from hubq.client.asking.driver import AsyncDriver, Driver
from hubq.client.asking.founding import Founding
from hubq.client.asking.grouped import AsyncGroupedDriver, GroupedDriver
from hubq.client.asking.loop_driver import LoopDriver, LoopLanes
from hubq.client.asking.thread_driver import ThreadDriver
from hubq.config import redis_urls
from hubq.core.layout import primary_of
from hubq.errors import ConfigError
from hubq.store.connection import RedisServer, Server
from hubq.store.server import of_hub


class Groups:
    """All groups of one hub; one, if it has one.

    ``driver`` and ``async_driver`` ask the whole hub. ``drivers`` and ``async_drivers`` each ask one group.
    """

    def __init__(self, contexts: Sequence[HubContext], given: Sequence[Server]) -> None:
        self.contexts = tuple(contexts)
        servers, self.founding = self._placed(given)
        founding = self.founding
        shared = self._shared(servers)
        places = list(zip(self.contexts, servers, strict=True))
        self.drivers = tuple(ThreadDriver(context, server, founding) for context, server in places)
        self.async_drivers = tuple(
            LoopDriver(context, server, founding, lanes)
            for (context, server), lanes in zip(places, shared, strict=True)
        )
        self.driver: Driver = self.drivers[0]
        self.async_driver: AsyncDriver = self.async_drivers[0]
        if len(self.contexts) > 1:
            whole = replace(self.contexts[0], groups=self.contexts)
            self.driver = GroupedDriver(whole, self.drivers)
            self.async_driver = AsyncGroupedDriver(whole, self.async_drivers)

    def _placed(self, given: Sequence[Server]) -> tuple[list[Server], Founding | None]:
        """The server of each group, and who looks whether all is where it belongs."""
        self.given = tuple(given)
        keys, on_cluster = self.contexts[0].keys, [_is_cluster(server) for server in given]
        if len(given) > len(self.contexts):
            raise ConfigError(
                f"redis: {len(given)} primaries for hub {keys.hub_id!r} with groups={len(self.contexts)}: give each primary a group at "
                f"least, Hub({keys.hub_id!r}, groups={len(given)}, ...) or more"
            )
        if len(given) > 1 and any(on_cluster):
            raise ConfigError(
                "redis: a list is for plain primaries; one redis+cluster:// URL names several nodes of a cluster, divided by commas"
            )
        servers = [of_hub(given[primary_of(c.group, len(given))], c.keys.tag) for c in self.contexts]
        if len(self.contexts) == 1:
            return servers, None
        return servers, Founding(self.contexts, servers, 0 if on_cluster[0] else len(given))

    def _shared(self, servers: Sequence[Server]) -> list[LoopLanes | None]:
        """The connections that each group shares with others. On a cluster it shares none: its slot may move by itself. Nor with
        ``wait_replicas``: who waits for replicas would keep the others waiting.
        """
        lanes = {id(server): LoopLanes(server) for server in servers}
        alone = len(self.contexts) == 1 or self.contexts[0].config.wait_replicas > 0
        return [None if alone or _is_cluster(server) else lanes[id(server)] for server in servers]

    @property
    def servers(self) -> tuple[Server, ...]:
        """Where each group is."""
        return tuple(driver.server for driver in self.drivers)

    @property
    def address(self) -> str:
        """Where the hub is, for messages to people."""
        return ", ".join(server.address for server in self.given)

    def connect_to(self, given: Sequence[Server]) -> None:
        """Ask other primaries from now on."""
        servers, founding = self._placed(given)
        self.founding = founding
        shared = self._shared(servers)
        for driver, async_driver, server, lanes in zip(self.drivers, self.async_drivers, servers, shared, strict=True):
            driver.connect_to(server, founding)
            async_driver.connect_to(server, founding, lanes)


def servers_of(redis: str | Server | Sequence[str | Server] | None) -> list[Server]:
    """The primaries that are given: one URL, several, or what ``HUBQ_REDIS_URL`` says."""
    if redis is None or isinstance(redis, str):
        return [RedisServer(url) for url in redis_urls(redis)]
    if isinstance(redis, Sequence):
        if not redis:
            raise ConfigError("redis=[]: give the URL of one primary at least")
        return [RedisServer(each) if isinstance(each, str) else each for each in redis]
    return [redis]


def _is_cluster(server: Server) -> bool:
    return isinstance(server, RedisServer) and server.cluster is not None
