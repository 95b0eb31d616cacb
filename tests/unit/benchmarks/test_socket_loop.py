"""The scripts of the socket loop keep what it is said to keep: a message once, a commit whole or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import fakeredis
import hiredis
import pytest

from benchmarks import socket_loop
from benchmarks.socket_loop import LUA, Connection, Served


@pytest.fixture
def redis() -> Any:
    return fakeredis.FakeRedis()


def run(redis: Any, name: str, keys: list[str], *arguments: object) -> str:
    answer: bytes = redis.eval((LUA / f"{name}.lua").read_text(), len(keys), *keys, *arguments)
    return answer.decode()


def test_a_send_that_is_repeated_adds_nothing(redis: Any) -> None:
    keys = ["sender", "s0", "s1"]
    batch = (2, "c1", "touch", "p", "", 3, "c2", "touch", "p", "reply")
    assert run(redis, "send", keys, 1, *batch) == "ok"
    assert run(redis, "send", keys, 1, *batch) == "duplicate"
    assert (redis.xlen("s0"), redis.xlen("s1"), redis.get("sender")) == (1, 1, b"2")
    assert run(redis, "send", keys, 3, *batch) == "ok" and redis.xlen("s0") == 2


def test_a_commit_of_an_earlier_owner_changes_nothing(redis: Any) -> None:
    entry = redis.xadd("s0", {"c": "c1"})
    redis.set("owner", "2")
    arguments = (1, 1, entry, 1, "c1", "state", "answer")
    assert run(redis, "commit", ["owner", "states", "s0", "reply"], "1", *arguments) == "fenced"
    assert (redis.xlen("s0"), redis.exists("states"), redis.exists("reply")) == (1, 0, 0)
    assert run(redis, "commit", ["owner", "states", "s0", "reply"], "2", *arguments) == "ok"
    assert (redis.xlen("s0"), redis.hgetall("states"), redis.lrange("reply", 0, -1)) == (
        0,
        {b"c1": b"state"},
        [b"answer"],
    )


def test_a_state_is_saved_when_it_has_changed(redis: Any) -> None:
    def found(*names: bytes) -> Any:
        fields = [(b"c", each, b"m", b"touch", b"p", socket_loop.ARGUMENTS, b"r", b"") for each in names]
        return [(b"s0", [(b"%d-0" % n, each) for n, each in enumerate(fields)])]

    async def scenario() -> None:
        served = Served()
        for times in (1, 0):
            count, *words = await served.handle(found(b"c1", b"c2"))
            keys, arguments = words[: int(count)], words[int(count) :]
            assert arguments[:6] == [socket_loop.TOKEN, 1, 2, b"0-0", b"1-0", 2 * times], "new objects only"
            assert keys == [socket_loop.OWNER, socket_loop.STATES, b"s0"]

    asyncio.run(scenario())


def test_answers_come_to_those_who_asked_however_they_are_cut() -> None:
    class Transport:
        written = b""

        def write(self, data: bytes) -> None:
            self.written += data

    async def scenario() -> None:
        connection, transport = Connection(), Transport()
        connection.connection_made(transport)  # type: ignore[arg-type]
        first, second, third = (connection.ask(b"GET", name) for name in (b"a", b"b", b"c"))
        assert transport.written.count(b"GET") == 3
        for byte in b"$2\r\nhi\r\n-ERR no\r\n":
            connection.data_received(bytes([byte]))
        assert await first == b"hi"
        with pytest.raises(hiredis.ReplyError, match="ERR no"):
            await second
        connection.connection_lost(None)
        with pytest.raises(ConnectionError):
            await third

    asyncio.run(scenario())
