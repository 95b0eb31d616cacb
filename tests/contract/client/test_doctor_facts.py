"""What ``hubq doctor`` asks of Redis and of the workers, where a setting would mislead."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from hubq import Child, Hub
from hubq.client.operations.diagnosis import gather
from hubq.core.diagnosis import diagnose
from hubq.store.connection import RedisServer
from hubq.store.embedded import EmbeddedServer
from hubq.store.strangers import lets_strangers_in
from hubq.testing import Cluster, connections, eventually


class Slow(Child):
    async def hold(self) -> None:
        await asyncio.Event().wait()


PUBLIC = "redis://redis.example.com:6379/0"


@pytest.fixture
def own_server() -> Iterator[EmbeddedServer]:
    """A Redis whose users are changed."""
    with EmbeddedServer() as server:
        if server.kind == "fakeredis":
            pytest.skip("fakeredis has no users")
        yield server


def topics(hub: Hub) -> list[str]:
    facts = connections.drive(hub, gather(connections.context_of(hub), PUBLIC, lets_strangers_in(hub.server)))
    return [finding.topic for finding in diagnose(facts)]


def test_whether_redis_lets_strangers_in_is_tried(own_server: EmbeddedServer) -> None:
    hub = Hub("open", redis=own_server.url)
    assert "Redis without a password" in topics(hub)
    with redis.Redis.from_url(own_server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">secret", "~*", "&*", "+@all")
        admin.execute_command("ACL", "SETUSER", "default", "off")
    hub.close()
    for url in (own_server.url.replace("//", "//app:secret@"), own_server.url + "?username=app&password=secret"):
        known = Hub("open", redis=url)
        assert known.inspect.settings()["shards"] == "64"
        assert "Redis without a password" not in topics(known)
        assert lets_strangers_in(known.server) is False
        known.close()


def test_a_default_user_who_may_do_nothing_is_no_open_door(own_server: EmbeddedServer) -> None:
    with redis.Redis.from_url(own_server.url) as admin:
        admin.execute_command("ACL", "SETUSER", "default", "on", "nopass", "-@all", "+acl", "+hello")
        assert lets_strangers_in(RedisServer(own_server.url)) is False
    assert lets_strangers_in(RedisServer("redis://127.0.0.1:1/0")) is None


def test_a_mailbox_fills_by_the_measure_of_the_workers(own_server: EmbeddedServer) -> None:
    async def scenario() -> None:
        hub = Hub("small", redis=own_server.url, max_backlog=10, shards=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Slow)
            for _ in range(6):
                await hub.aio.ref("c").cast("hold")
            by_id = Hub("small", redis=own_server.url, shards=2)

            async def told() -> bool:
                return any((await asyncio.to_thread(by_id.inspect.vitals)).values())

            await eventually(told, what="the node has written its account")
            (filling,) = [
                each for each in await asyncio.to_thread(by_id.inspect.diagnosis) if each.topic == "mailbox filling"
            ]
            assert "at 10 its senders get MailboxFull" in filling.seen
            by_id.close()

    asyncio.run(scenario())
