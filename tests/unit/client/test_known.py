"""The fixed settings of a hub of which only the id is known, while its first primary does not answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import ConnectionError as Refused

from hubq.client.known import fixed_settings_of
from hubq.errors import RedisUnavailable
from hubq.store.command import plain
from hubq.store.connection import Server, SyncRedis
from hubq.store.keys import Keys
from hubq.store.membership import wire_of
from hubq.testing import FakeServer


class Away:
    """A Redis that refuses connections."""

    address = "redis://away"

    def sync_client(self, timeout: float) -> Any:
        return Client(self)

    async_client = sync_client

    def answer(self) -> None:
        raise Refused("no")


class Silent(Away):
    """A Redis that stands still until the test ends."""

    address = "redis://silent"

    def __init__(self) -> None:
        self.ended = threading.Event()

    def answer(self) -> None:
        self.ended.wait(60)
        super().answer()


class Client:
    """What redis-py would be."""

    def __init__(self, server: Away) -> None:
        self._server = server

    def execute_command(self, *args: Any) -> None:
        self._server.answer()

    def pipeline(self, transaction: bool) -> Client:
        return Client(self._server)

    def execute(self, raise_on_error: bool) -> None:
        self._server.answer()

    def close(self) -> None:
        """It has nothing."""


@pytest.fixture
def silent() -> Iterator[Silent]:
    server = Silent()
    yield server
    server.ended.set()


def with_group(group: int, groups: int) -> FakeServer:
    """A Redis that has this group of the hub ``chat``."""
    server, key = FakeServer(), Keys("chat", group, groups).config
    SyncRedis(server).run(plain("HSET", key, "shards", 64, "wire", wire_of(group, groups), read=int))
    return server


@pytest.mark.parametrize("groups", [3, 8, 64])
def test_another_primary_says_it_while_the_first_stands_still(silent: Silent, groups: int) -> None:
    given: list[Server] = [silent, Away(), with_group(2, groups)]
    found = fixed_settings_of(given, "chat")
    assert found is not None and (found.shards, found.groups) == (b"64", groups)
    assert (found.key, found.server) == (Keys("chat", 2, groups).config, given[2])


def test_what_the_first_one_says_counts_if_it_answers() -> None:
    assert fixed_settings_of([FakeServer(), with_group(1, 2)], "chat") is None, "there is no such hub"
    found = fixed_settings_of([with_group(0, 2), Away()], "chat")
    assert found is not None and found.groups == 2


def test_if_nobody_says_it_the_error_is_that_of_the_first() -> None:
    for others in ([FakeServer()], [Away()], [with_group(1, 3)], []):
        with pytest.raises(RedisUnavailable, match="redis://away"):
            fixed_settings_of([Away(), *others], "room")
