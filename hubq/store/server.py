"""Where Redis is, and the redis-py clients that make the connections to it."""

from __future__ import annotations

from inspect import signature
from typing import Any, Protocol
from urllib.parse import parse_qsl

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

from hubq.store.sentinel import SentinelAddress
from hubq.store.tls import PAST_THE_TICKETS, host_name_checked
from hubq.store.url import SENTINEL_SCHEMES, Url, refuse

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
    """A Redis reached by URL: itself, or by the Sentinels that know which one is the primary.

    >>> RedisServer("redis://:secret@localhost:6379/0").address
    'redis://localhost:6379/0'
    """

    def __init__(self, url: str) -> None:
        read = Url.read(url)
        self.url = url
        self.address = read.address
        self._sentinel = SentinelAddress.read(url) if read.parts.scheme in SENTINEL_SCHEMES else None
        self._tls = host_name_checked(dict(parse_qsl(read.parts.query))) if read.parts.scheme == "rediss" else {}
        try:
            self.sync_client(ANSWER_TIMEOUT).connection_pool.make_connection()  # (which does not connect)
        except (TypeError, ValueError):
            refuse(url, "it has a parameter (behind the ?) that redis-py does not take")

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
        tls = {**self._tls, **PAST_THE_TICKETS} if self._tls else {}
        return redis.Redis.from_url(self.url, **self._options(timeout), **tls)

    def async_client(self, timeout: float) -> Any:
        if self._sentinel is not None:
            return self._sentinel.async_client(self._options(timeout))
        return redis.asyncio.Redis.from_url(self.url, **self._options(timeout), **self._tls)


def raw(client: Any) -> Any:
    """The client, told to leave answers as they come."""
    # We read RESP2 as it comes: redis-py's own parsing of stream entries costs more than the network.
    client.response_callbacks = {}
    return client
