"""URLs of Redis behind Sentinel: what they say reaches redis-py, for the primary and for the Sentinels."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import redis.asyncio.connection
import redis.connection

from hubq.errors import ConfigError
from hubq.store.connection import RedisServer
from hubq.store.sentinel import SentinelAddress

URL = (
    "rediss+sentinel://app:p%40ss@s1:26379,s2/main/3?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false"
    "&sentinel_username=watcher&sentinel_password=other&sentinel_ssl_ca_certs=/etc/sentinel.pem&socket_keepalive=yes"
)


def test_every_part_of_a_tls_url() -> None:
    address = SentinelAddress.read(URL)
    assert address.sentinels == (("s1", 26379), ("s2", 26379))
    assert address.service == "main"
    assert address.options == {
        "db": 3, "username": "app", "password": "p@ss", "ssl": True, "ssl_ca_certs": "/etc/ca.pem",
        "ssl_check_hostname": False, "socket_keepalive": True,
    }  # fmt: skip
    assert address.sentinel_options == {
        "ssl": True, "ssl_ca_certs": "/etc/sentinel.pem", "ssl_check_hostname": False, "username": "watcher",
        "password": "other",
    }  # fmt: skip


def check(client: Any, connection: type) -> None:
    pool = client.connection_pool
    assert issubclass(pool.connection_class, connection)
    known = pool.connection_kwargs
    assert (known["db"], known["username"], known["password"]) == (3, "app", "p@ss")
    assert (known["ssl_ca_certs"], known["ssl_check_hostname"]) == ("/etc/ca.pem", False)
    for sentinel in pool.sentinel_manager.sentinels:
        assert issubclass(sentinel.connection_pool.connection_class, connection)
        told = sentinel.connection_pool.connection_kwargs
        assert (told["username"], told["password"], told["ssl_ca_certs"]) == ("watcher", "other", "/etc/sentinel.pem")


def test_clients_speak_tls_with_primary_and_sentinels() -> None:
    server = RedisServer(URL)
    check(server.sync_client(1.0), redis.connection.SSLConnection)

    async def scenario() -> None:
        check(server.async_client(1.0), redis.asyncio.connection.SSLConnection)

    asyncio.run(scenario())


def test_without_tls_nothing_is_encrypted() -> None:
    client = RedisServer("redis+sentinel://s1/main").sync_client(1.0)
    assert not issubclass(client.connection_pool.connection_class, redis.connection.SSLConnection)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("rediss+sentinel://s1:26379", "names no service"),
        ("rediss+sentinel://s1:26379/main/x", "is no number of a database"),
        ("rediss+sentinel://s1:port/main", "a port is a number"),
        ("rediss+sentinel://s1/main?socket_timeout=soon", "the value of socket_timeout is not what redis-py takes"),
    ],
)
def test_what_is_wrong_is_said(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SentinelAddress.read(url)
