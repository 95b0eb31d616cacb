"""URLs of Redis: what is wrong is said without the password, and an address never has a part of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq.errors import ConfigError
from hubq.store.connection import RedisServer

SECRET = ("s3cret", "-adm1n", "b@re")
WRONG = [
    "http://u:s3cret-adm1n@h/0", "u:s3cret-adm1n@h:6379", "s3cret-adm1n", "redis:s3cret-adm1n@h", "redis://:s3cret/-adm1n@h:6379/0",
    "redis://:s3cret#-adm1n@h:6379/0", "redis://:s3cret?-adm1n@h:6379/0", "redis://u:b@re/-adm1n@h/0", "redis://u:b@re?x@h/0",
    "redis://u:b@re#x", "redis://u:s3cret-adm1n", "redis://u:s3cret@h:port/0", "redis://u:s3cret@h:99999/0", "redis://u:s3cret@[::1/0",
    "redis://u:s3cret@h/0?db=-adm1n", "redis://u:s3cret@h/0?socket_timeout=b@re", "redis://u:s3cret@h/0?nonsense=-adm1n",
    "unix://u:s3cret/-adm1n@/tmp/redis.sock", "redis+sentinel://:s3cret/-adm1n@s1/main", "redis+sentinel://:s3cret-adm1n@s1",
    "redis+sentinel://:s3cret-adm1n@s1/main/zero", "redis+sentinel://:s3cret#-adm1n@s1/main", "redis+sentinel://:s3cret@s1:port/main",
    "redis+sentinel://:s3cret@s1/main?sentinel_password=b@re", "redis+sentinel://:s3cret@s1/main?socket_timeout=-adm1n",
    "rediss+sentinel://:s3cret-adm1n@/main", "redis+cluster://:s3cret-adm1n@c1:7000/1", "redis+cluster://:s3cret/-adm1n@c1:7000",
    "redis+cluster://:s3cret-adm1n@c1:port", "redis+cluster://:s3cret-adm1n@", "redis+cluster://:s3cret@c1:7000?db=-adm1n",
    "redis+cluster://:s3cret@c1:7000?db=1", "redis+cluster://:s3cret@c1:7000?nonsense=-adm1n",
]  # fmt: skip


@pytest.mark.parametrize("url", WRONG)
def test_what_is_wrong_is_said_without_the_password(url: str) -> None:
    with pytest.raises(ConfigError) as found:
        RedisServer(url)
    assert not [part for part in SECRET if part in str(found.value)]
    assert found.value.__cause__ is None and "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://u:s3cret%2F-adm1n@h:6379/0", "redis://h:6379/0"),
        ("redis://:s3cret:-adm1n@h", "redis://h"),
        ("redis://b%40re@[::1]:6379/0?socket_timeout=3", "redis://[::1]:6379/0"),
        ("rediss://u:s3cret@redis.internal/1?ssl_ca_certs=/etc/ca.pem", "rediss://redis.internal/1"),
        ("unix://u:s3cret@/tmp/redis.sock?db=1", "unix:///tmp/redis.sock"),
        ("unix:///tmp/redis.sock?password=s3cret", "unix:///tmp/redis.sock"),
        ("redis+sentinel://:s3cret@s1:26379,s2/main/2?sentinel_password=b%40re", "redis+sentinel://s1:26379,s2/main/2"),
        ("redis+cluster://:s3cret@c1:7000,c2:7001", "redis+cluster://c1:7000,c2:7001"),
    ],
)
def test_an_address_has_no_part_of_the_password(url: str, address: str) -> None:
    assert RedisServer(url).address == address


def test_a_wrong_url_without_a_password_is_shown() -> None:
    with pytest.raises(ConfigError, match=r"Redis URL 'localhost:7811': it must begin with redis://"):
        RedisServer("localhost:7811")


def checks(url: str) -> list[Any]:
    """Whether host names are checked, by a waiting and by an awaiting client."""

    async def scenario() -> Any:
        return RedisServer(url).async_client(1.0).connection_pool.connection_kwargs.get("ssl_check_hostname")

    waiting = RedisServer(url).sync_client(1.0).connection_pool
    asks = getattr(waiting, "sentinel_manager", None)
    of_sentinels = (
        [each.connection_pool.connection_kwargs.get("ssl_check_hostname") for each in asks.sentinels] if asks else []
    )
    return [waiting.connection_kwargs.get("ssl_check_hostname"), asyncio.run(scenario()), *of_sentinels]


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("rediss://h/0", [True, True]),
        ("rediss://h/0?ssl_check_hostname=false", [False, False]),
        ("rediss://h/0?ssl_cert_reqs=none", [False, False]),
        ("rediss+sentinel://s1/main", [True, True, True]),
        ("rediss+sentinel://s1/main?sentinel_ssl_cert_reqs=none", [True, True, False]),
        ("redis://h/0", [None, None]),
    ],
)
def test_tls_compares_the_host_name(url: str, checked: list[Any]) -> None:
    assert checks(url) == checked
