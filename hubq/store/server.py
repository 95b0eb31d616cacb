"""Where Redis is, and the redis-py clients that make the connections to it."""

from __future__ import annotations

import os
from inspect import signature
from typing import Any, Protocol
from urllib.parse import parse_qsl

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

from hubq.errors import ConfigError
from hubq.store.sentinel import SentinelAddress
from hubq.store.slots import ClusterAddress, KnownNodes, SlotMap, slot_of
from hubq.store.tls import PAST_THE_TICKETS, host_name_checked
from hubq.store.url import CLUSTER_SCHEMES, SENTINEL_SCHEMES, Url, refuse

#: How long one answer may take before the connection counts as lost, seconds.
ANSWER_TIMEOUT = 5.0

#: Makes redis-py send no CLIENT SETINFO with each connection: a user of ``hubq acl`` may not, and needs not, send it.
#: (Older redis-py has two parameters for it, which newer ones call deprecated.)
UNANNOUNCED: dict[str, Any] = (
    {"driver_info": None}
    if "driver_info" in signature(AbstractConnection.__init__).parameters
    else {"lib_name": None, "lib_version": None}
)


class Server(Protocol):
    """Where Redis is. Tests give one that is fakeredis."""

    @property
    def address(self) -> str:
        """For messages to people; without a password."""

    def sync_client(self, timeout: float) -> Any:
        """A new blocking client with a pool of its own."""

    def async_client(self, timeout: float) -> Any:
        """A new asyncio client with a pool of its own."""


class RedisServer:
    """A Redis reached by URL: itself, or by the Sentinels that know which one is the primary, or as the primary of a Redis Cluster
    that has the slot of a hub (``hub_id``; :meth:`of_hub`). ``nodes``: what others have found out of the nodes of this cluster.

    >>> RedisServer("redis://:secret@localhost:6379/0").address
    'redis://localhost:6379/0'
    """

    def __init__(self, url: str, hub_id: str = "", slot: int | None = None, nodes: KnownNodes | None = None) -> None:
        read = Url.read(url)
        self.url = url
        self.address = read.address
        self.cluster = ClusterAddress.read(url) if read.parts.scheme in CLUSTER_SCHEMES else None
        self.slots = (
            SlotMap(self.cluster, slot_of(hub_id) if slot is None else slot, nodes)
            if self.cluster is not None
            else None
        )
        self._sentinel = SentinelAddress.read(url) if read.parts.scheme in SENTINEL_SCHEMES else None
        self._tls = host_name_checked(dict(parse_qsl(read.parts.query))) if read.parts.scheme == "rediss" else {}
        try:
            self.sync_client(ANSWER_TIMEOUT).connection_pool.make_connection()  # (which does not connect)
        except (TypeError, ValueError):
            refuse(url, "it has a parameter (behind the ?) that redis-py does not take")

    def of_hub(self, hub_id: str) -> RedisServer:
        """The same for the keys of this hub: on a cluster, they are in one slot."""
        return self if self.slots is None else RedisServer(self.url, hub_id, nodes=self.slots.nodes)

    def primaries(self) -> list[RedisServer]:
        """Each primary of a cluster; the server itself, if it is none. Raises redis-py's ``ConnectionError``: no node answers."""
        if self.slots is None:
            return [self]
        return [RedisServer(self.url, slot=slot, nodes=self.slots.nodes) for slot in self.slots.primaries()]

    def _options(self, timeout: float) -> dict[str, Any]:
        # Retries are ours (below): redis-py's own would repeat blocking reads as well.
        return {
            "protocol": 2,
            "socket_timeout": timeout,
            "socket_connect_timeout": min(timeout, ANSWER_TIMEOUT),
            "retry": Retry(NoBackoff(), 0),
            **UNANNOUNCED,
        }

    def sync_client(self, timeout: float) -> Any:
        if self._sentinel is not None:
            return self._sentinel.sync_client(self._options(timeout))
        if self.cluster is not None:
            tls = PAST_THE_TICKETS if self.cluster.tls else {}
            from hubq.store.at_slot import AtSlot, SslAtSlot  # (most hubs are on no cluster)

            at_slot = SslAtSlot if self.cluster.tls else AtSlot
            options = {**self.cluster.options, **self._options(timeout), **tls}
            return redis.Redis(
                connection_pool=redis.ConnectionPool(connection_class=at_slot, slot_map=self.slots, **options)
            )
        tls = {**self._tls, **PAST_THE_TICKETS} if self._tls else {}
        return redis.Redis.from_url(self.url, **self._options(timeout), **tls)

    def async_client(self, timeout: float) -> Any:
        if self._sentinel is not None:
            return self._sentinel.async_client(self._options(timeout))
        if self.cluster is not None:
            from hubq.store.at_slot import AsyncAtSlot, AsyncSslAtSlot

            at_slot = AsyncSslAtSlot if self.cluster.tls else AsyncAtSlot
            options = {**self.cluster.options, **self._options(timeout)}
            pool = redis.asyncio.ConnectionPool(connection_class=at_slot, slot_map=self.slots, **options)
            return redis.asyncio.Redis(connection_pool=pool)
        return redis.asyncio.Redis.from_url(self.url, **self._options(timeout), **self._tls)


def raw(client: Any) -> Any:
    """The client, told to leave answers as they come."""
    # We read RESP2 as it comes: redis-py's own parsing of stream entries costs more than the network.
    client.response_callbacks = {}
    return client


def slots_of(server: Server) -> SlotMap | None:
    """Who has the slot of the hub, if this server is a Redis Cluster."""
    return server.slots if isinstance(server, RedisServer) else None


def of_hub(server: Server, hub_id: str) -> Server:
    """The server as this hub reaches it."""
    return server.of_hub(hub_id) if isinstance(server, RedisServer) else server


def primaries(server: Server) -> list[Server]:
    """Each primary of a cluster; the server itself, if it is none. Raises :class:`~hubq.errors.RedisUnavailable`."""
    if not isinstance(server, RedisServer):
        return [server]
    return list(server.primaries())


def jobs_server(redis: str | Server | None) -> Server | None:
    """Where the jobs are, if it is another Redis than that of the hub: ``jobs_redis=``, or else HUBQ_JOBS_REDIS_URL."""
    redis = redis or os.environ.get("HUBQ_JOBS_REDIS_URL") or None
    return None if redis is None else checked_for_jobs(RedisServer(redis) if isinstance(redis, str) else redis)


def checked_for_jobs(server: Server, *others: Server) -> Server:
    """A server that can hold the jobs, or :class:`~hubq.errors.ConfigError`."""
    if others:
        raise ConfigError(
            f"jobs go through RQ, which needs one Redis, and the hub has {len(others) + 1} primaries: name the plain Redis for jobs, "
            "jobs_redis=... or HUBQ_JOBS_REDIS_URL"
        )
    if isinstance(server, RedisServer) and server.cluster is not None:
        raise ConfigError(
            f"jobs go through RQ, which does not run on a Redis Cluster ({server.address}): give the hub the URL of a plain Redis "
            "for them, jobs_redis=... or HUBQ_JOBS_REDIS_URL"
        )
    return server
