"""What redis-py sends on a new connection before we do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any

import hiredis
import pytest

from hubq.errors import RedisUnavailable
from hubq.store.command import Command, plain
from hubq.store.connection import AsyncRedis
from hubq.store.primary import PrimaryWatch
from hubq.store.server import RedisServer
from hubq.store.slots import SlotMap


class Listener:
    """Answers every command with PONG, and keeps what it was sent."""

    def __init__(self) -> None:
        self.commands: list[list[bytes]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._socket.getsockname()[1]}/0"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            reader = hiredis.Reader()
            with connection:
                while data := connection.recv(4096):
                    reader.feed(data)
                    while (command := reader.gets()) is not False:
                        self.commands.append(command)
                        connection.sendall(b"+PONG\r\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


def test_a_waiting_client_sends_nothing_but_what_it_is_told_to(listener: Listener) -> None:
    with RedisServer(listener.url).sync_client(5.0) as client:
        client.execute_command("PING")
    assert listener.commands == [[b"PING"]], "a restricted user may not send more"


def test_an_awaiting_client_sends_nothing_but_what_it_is_told_to(listener: Listener) -> None:
    async def scenario(client: Any) -> None:
        async with client:
            await client.execute_command("PING")

    asyncio.run(scenario(RedisServer(listener.url).async_client(5.0)))
    assert listener.commands == [[b"PING"]], "a restricted user may not send more"


class FailsOver(Listener):
    """Its first connections lead to one Redis, the very first of which is lost, each later one to another Redis. ``there``: what that one
    was sent. The first Redis answers to XREAD when it ``answers``.
    """

    def __init__(self, first: int = 1) -> None:
        self.there: list[bytes] = []
        self.asked, self.answers = threading.Event(), threading.Event()
        self._connections = 0
        self._first_ones = first
        self._first: socket.socket | None = None
        super().__init__()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            self._connections += 1
            self._first = self._first or connection
            threading.Thread(
                target=self._answer, args=(connection, self._connections > self._first_ones), daemon=True
            ).start()

    def _answer(self, connection: socket.socket, later: bool) -> None:
        reader, info = (
            hiredis.Reader(),
            b"role:master\r\nrun_id:%s\r\nmaster_replid:%d\r\n" % (b"ab"[later:][:1], later),
        )
        with connection, contextlib.suppress(ConnectionError):
            while data := connection.recv(4096):
                reader.feed(data)
                while (command := reader.gets()) is not False:
                    if later and command[0] in (b"SET", b"XREAD"):
                        self.there.append(command[1])
                    elif command[0] == b"XREAD":
                        self.asked.set()
                        self.answers.wait(10)
                    connection.sendall(b"$%d\r\n%s\r\n" % (len(info), info) if command[0] == b"INFO" else b"+OK\r\n")

    def fail_over(self) -> None:
        """The first Redis is gone."""
        assert self._first is not None
        self._first.shutdown(socket.SHUT_RDWR)


def play(scenario: Callable[[FailsOver], Coroutine[Any, Any, None]]) -> None:
    """With a Redis that fails over when it is told to."""
    listening = FailsOver()
    try:
        asyncio.run(scenario(listening))
    finally:
        listening.close()


def test_what_waits_for_a_connection_is_not_sent_to_another_redis_than_it_was_meant_for() -> None:
    async def scenario(server: FailsOver) -> None:
        watch, changes = PrimaryWatch(), list[str]()
        watch.subscribe(lambda was, now: changes.append(now))
        redis = AsyncRedis(RedisServer(server.url), watch=watch)

        def put(key: str) -> Awaitable[object]:
            return redis.run(plain("SET", key, "1", read=bool))

        await put("before")
        server.fail_over()
        await asyncio.gather(*(put(f"meanwhile-{n}") for n in range(3)), return_exceptions=True)
        await asyncio.gather(*(put(f"waiting-{n}") for n in range(3)), return_exceptions=True)
        assert len(changes) == 1
        await put("after")
        assert server.there == [b"after"]
        await redis.close()

    play(scenario)


class Freezes(PrimaryWatch):
    """The process is frozen when the first Redis has said who it is, until that one is gone."""

    def __init__(self, server: FailsOver) -> None:
        super().__init__()
        self._server = server

    async def greet(self, connection: Any, slots: SlotMap | None = None) -> None:
        first = not self.known
        await super().greet(connection, slots)
        if first:
            self._server.fail_over()


def test_what_a_thawed_process_sends_goes_to_the_redis_that_it_has_asked_or_to_none() -> None:
    async def scenario(server: FailsOver) -> None:
        watch, changes = Freezes(server), list[str]()
        watch.subscribe(lambda was, now: changes.append(now))
        redis = AsyncRedis(RedisServer(server.url), watch=watch)

        async def put(key: str) -> None:
            await redis.run(plain("SET", key, "1", read=bool))

        with pytest.raises(RedisUnavailable):
            await put("thawed")
        assert (server.there, changes) == ([], []), "its connection leads to the one that is gone"
        with pytest.raises(RedisUnavailable, match="another Redis"):
            await put("thought over")
        assert (server.there, changes) == ([], ["b 1"]), "told before anything was sent there"
        await put("after")
        assert server.there == [b"after"]
        await redis.close()

    play(scenario)


READ = Command(("XREAD", "BLOCK"), bool, None, blocks=True)


def with_two_clients(scenario: Callable[[FailsOver, AsyncRedis, AsyncRedis], Awaitable[None]]) -> None:
    """Both are connected to the first Redis, and have one watch, as the two of a node. The first has sent something."""

    async def run(server: FailsOver) -> None:
        watch = PrimaryWatch()
        redis, reading = (AsyncRedis(RedisServer(server.url), watch=watch) for _ in range(2))
        await redis.run(plain("SET", "before", "1", read=bool))
        await scenario(server, redis, reading)
        await redis.close()
        await reading.close()

    listening = FailsOver(first=2)
    try:
        asyncio.run(run(listening))
    finally:
        listening.close()


async def another_answers(redis: AsyncRedis) -> None:
    """The connection is lost, then another Redis is found, then that one is asked."""
    for _ in range(2):
        with pytest.raises(RedisUnavailable):
            await redis.run(plain("SET", "lost", "1", read=bool))
    await redis.run(plain("SET", "here", "1", read=bool))


def test_what_the_former_redis_answers_when_another_has_answered_is_not_taken() -> None:
    """A primary that was frozen, and is not any more, answers for a moment as if it were one still."""

    async def scenario(server: FailsOver, redis: AsyncRedis, reading: AsyncRedis) -> None:
        under_way = asyncio.create_task(reading.run(READ))
        await asyncio.to_thread(server.asked.wait, 10)
        server.fail_over()
        await another_answers(redis)
        server.answers.set()
        with pytest.raises(RedisUnavailable, match="another Redis"):
            await under_way
        await reading.run(READ)
        assert server.there == [b"here", b"BLOCK"], "it is read from the one that answers now"

    with_two_clients(scenario)


def test_a_connection_that_waits_for_use_is_not_used_when_another_redis_has_answered() -> None:
    async def scenario(server: FailsOver, redis: AsyncRedis, reading: AsyncRedis) -> None:
        server.answers.set()
        await reading.run(READ)
        server.fail_over()
        await another_answers(redis)
        await reading.run(READ)
        assert server.there == [b"here", b"BLOCK"]

    with_two_clients(scenario)
