"""Redis behind Sentinel: ``redis+sentinel://host:port,host2:port/service/db``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.backoff import NoBackoff
from redis.connection import URL_QUERY_ARGUMENT_PARSERS
from redis.retry import Retry

from hubq.store.tls import PAST_THE_TICKETS, host_name_checked
from hubq.store.url import Url, refuse

#: How long one Sentinel may take to answer before the next one is asked, seconds.
ANSWER_TIMEOUT = 1.0

FORM = "redis+sentinel://[user:password@]host:port[,host:port...]/service[/db]"


@dataclass(frozen=True, slots=True)
class SentinelAddress:
    """Where the Sentinels are, and which primary they are asked for.

    User and password are those of Redis; ``?sentinel_username=`` and ``?sentinel_password=`` those of the Sentinels.
    Other parameters go to redis-py, those of TLS (``ssl_ca_certs``) for the Sentinels as well unless they have one of their
    own (``sentinel_ssl_ca_certs``).

    >>> address = SentinelAddress.read("redis+sentinel://:secret@s1:26379,s2:26379/main/2")
    >>> address.sentinels, address.service, address.options
    ((('s1', 26379), ('s2', 26379)), 'main', {'db': 2, 'password': 'secret'})
    >>> SentinelAddress.read("redis+sentinel://s1:26379")
    Traceback (most recent call last):
    hubq.errors.ConfigError: Redis URL 'redis+sentinel://s1:26379': it names no service: write redis+sentinel://[user:password@]host:port[,host:port...]/service[/db]
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    options: dict[str, Any]
    sentinel_options: dict[str, Any]

    @classmethod
    def read(cls, url: str) -> SentinelAddress:
        """The address in a URL, or :class:`~hubq.errors.ConfigError` that says what is wrong with it."""
        parts = Url.read(url).parts
        login, _, hosts = parts.netloc.rpartition("@")
        sentinels = tuple(_host(url, host) for host in hosts.split(","))
        service, _, db = parts.path.strip("/").partition("/")
        if not service:
            refuse(url, f"it names no service: write {FORM}")
        if not (db or "0").isdigit():
            refuse(url, f"{db!r} is no number of a database: write {FORM}")
        options: dict[str, Any] = {"db": int(db or 0)}
        user, _, password = login.partition(":")
        options |= {"username": unquote(user)} if user else {}
        options |= {"password": unquote(password)} if password else {}
        of_sentinels: dict[str, Any] = {}
        for name, value in parse_qsl(parts.query):
            of, name = (of_sentinels, name[9:]) if name.startswith("sentinel_") else (options, name)
            parse: Any = URL_QUERY_ARGUMENT_PARSERS.get(name, str)
            of[name] = parse(value)
        if parts.scheme == "rediss+sentinel":
            options["ssl"] = True
            of_sentinels = {name: value for name, value in options.items() if name.startswith("ssl")} | of_sentinels
            options |= host_name_checked(options)
            of_sentinels |= host_name_checked(of_sentinels)
        return cls(sentinels, unquote(service), options, of_sentinels)

    def sync_client(self, options: dict[str, Any]) -> Any:
        """A blocking client of whatever is the primary when it connects."""
        manager: Any = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
            self.sentinels,
            sentinel_kwargs={**self._for_sentinels(), **(PAST_THE_TICKETS if self.sentinel_options.get("ssl") else {})},
            **{**self.options, **options, **(PAST_THE_TICKETS if self.options.get("ssl") else {})},
        )
        return manager.master_for(self.service, redis_class=redis.Redis)

    def async_client(self, options: dict[str, Any]) -> Any:
        """The same for asyncio."""
        manager: Any = redis.asyncio.sentinel.Sentinel(  # type: ignore[no-untyped-call]
            self.sentinels, sentinel_kwargs=self._for_sentinels(), **{**self.options, **options}
        )
        return manager.master_for(self.service, redis_class=redis.asyncio.Redis)

    def _for_sentinels(self) -> dict[str, Any]:
        times = {"socket_timeout": ANSWER_TIMEOUT, "socket_connect_timeout": ANSWER_TIMEOUT}
        return {**self.sentinel_options, **times, "retry": Retry(NoBackoff(), 0)}


def sentinels_of(client: Any) -> list[Any]:
    """The clients of the Sentinels that a client asks; none if it asks none."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return list(manager.sentinels) if manager is not None else []


def _host(url: str, host: str) -> tuple[str, int]:
    name, _, port = host.rpartition(":") if ":" in host else (host, ":", "26379")
    if not name or not port.isdigit():
        refuse(url, f"it must have hosts and ports: write {FORM}")
    return name.strip("[]"), int(port)
