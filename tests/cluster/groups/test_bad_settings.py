"""What cannot be right about groups and their primaries is said, and nothing is written."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from hubq import ConfigError, Hub, hubs
from hubq.cli.loading import open_hub
from hubq.node.node import Node
from hubq.store.command import plain
from hubq.store.connection import SyncRedis
from hubq.testing import FakeServer

_numbers = itertools.count()


def a_name() -> str:
    return f"settings{next(_numbers)}"


def keys_of(server: FakeServer) -> list[Any]:
    redis = SyncRedis(server)
    try:
        return list(redis.run(plain("KEYS", "*", read=list)))
    finally:
        redis.close()


def test_groups_must_divide_shards() -> None:
    with pytest.raises(ConfigError, match="groups=3 does not divide shards=64: give a divisor of it, such as groups=2"):
        Hub("chat", groups=3)
    with pytest.raises(ConfigError, match="groups=0: give a number from 1 to 64"):
        Hub("chat", groups=0)


@pytest.mark.parametrize(("there", "given"), [(4, 2), (4, 1), (1, 4), (2, 8)])
def test_another_number_of_groups_than_the_hubs(there: int, given: int) -> None:
    server, name = FakeServer(), a_name()
    Hub(name, redis=server, groups=there).nodes()
    with pytest.raises(ConfigError, match=f"was created with groups={there}, not groups={given}"):
        Hub(name, redis=server, groups=given).nodes()

    async def joins() -> None:
        node = Node(Hub(name, redis=server, groups=given), "a")
        with pytest.raises(ConfigError, match=f"was created with groups={there}, not groups={given}"):
            await node.start()

    asyncio.run(joins())


def test_another_number_of_shards_than_the_hubs() -> None:
    server, name = FakeServer(), a_name()
    Hub(name, redis=server, groups=2, shards=8).nodes()
    with pytest.raises(ConfigError, match="was created with shards=8"):
        Hub(name, redis=server, groups=2, shards=16).nodes()


@pytest.mark.parametrize("order", [(1, 0, 2), (2, 1, 0), (1, 2, 0), (0, 1)])
def test_primaries_in_another_order(order: tuple[int, ...]) -> None:
    servers, name = [FakeServer() for _ in range(3)], a_name()
    Hub(name, redis=servers, groups=4).nodes()
    before = [keys_of(server) for server in servers]
    given = [servers[n] for n in order]
    with pytest.raises(
        ConfigError, match="give the primaries as they were given when the hub was created, in that order"
    ):
        Hub(name, redis=given, groups=4).nodes()

    async def joins() -> None:
        with pytest.raises(ConfigError, match="in that order"):
            await Node(Hub(name, redis=given, groups=4), "a").start()
        hub = Hub(name, redis=given, groups=4)
        with pytest.raises(ConfigError, match="in that order"):
            await hub.aio.nodes()

    asyncio.run(joins())
    assert [keys_of(server) for server in servers] == before


def test_more_primaries_than_groups() -> None:
    with pytest.raises(ConfigError, match="3 primaries for hub 'chat' with groups=2"):
        Hub("chat", redis=[FakeServer() for _ in range(3)], groups=2)
    with pytest.raises(ConfigError, match="redis=\\[\\]: give the URL of one primary at least"):
        Hub("chat", redis=[])


def test_a_cluster_is_one_url() -> None:
    with pytest.raises(ConfigError, match="a list is for plain primaries"):
        Hub("chat", redis=["redis+cluster://a:1", "redis+cluster://b:1"], groups=2)
    with pytest.raises(ConfigError, match="a Redis Cluster has no database but 0"):
        Hub("chat", redis="redis+cluster://a:7000/2", groups=2)


def test_jobs_want_one_redis() -> None:
    with pytest.raises(ConfigError, match="the hub has 2 primaries: name the plain Redis for jobs, jobs_redis="):
        Hub("chat", redis=[FakeServer(), FakeServer()], groups=2).enqueue(print, "hi")
    with pytest.raises(ConfigError, match="RQ, which does not run on a Redis Cluster"):
        Hub("chat", redis="redis+cluster://127.0.0.1:1", groups=2).enqueue(print, "hi")


def test_urls_divided_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBQ_REDIS_URL", "redis://a:1/0,redis+sentinel://s1:2,s2:3/mymaster/0")
    hub = Hub("chat", groups=2)
    assert [server.address for server in hub.groups.servers] == [
        "redis://a:1/0",
        "redis+sentinel://s1:2,s2:3/mymaster/0",
    ]


def test_a_hub_is_found_with_its_groups() -> None:
    server, name = FakeServer(), a_name()
    Hub(name, redis=server, groups=4, shards=8).nodes()
    (found,) = hubs(server)
    assert (found.hub_id, found.shards, found.groups) == (name, 8, 4)
    assert Hub.open(name, redis=server).config.groups == 4


def test_the_command_line_finds_the_groups_by_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    server, name = FakeServer(), a_name()
    Hub(name, redis=server, groups=4, shards=8).nodes()
    monkeypatch.setattr("hubq.client.groups.servers_of", lambda redis: [server])
    assert open_hub(name).config.groups == 4
