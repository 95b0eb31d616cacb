"""A call of code that waits, and the wait for its reply, go out in one write on one connection; what is refused, late or lost there goes on
as elsewhere.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from hubq import CallTimeout, Hub, UnknownChild
from hubq.store.connection import RedisServer
from hubq.testing import Cluster, Ledger, LedgerChild
from hubq.testing.connections import lanes_idle

_numbers = itertools.count()
#: Whether a child that waits may answer.
_MAY_ANSWER = threading.Event()


class Waits(LedgerChild):
    """Answers when it may."""

    async def record(self, sender: str, number: int) -> int:
        """See :class:`LedgerChild`."""
        await asyncio.to_thread(_MAY_ANSWER.wait)
        return await super().record(sender, number)


class Caller:
    """Calls one child by waiting, and writes down what it has sent."""

    def __init__(self, hub: Hub, ledger: Ledger, redis: Any) -> None:
        self.hub = hub
        self.redis = redis
        self._ledger = ledger

    def call(self) -> None:
        number = self._ledger.next_number("s", "c")
        assert self.hub.ref("c").call("record", "s", number) == number
        self._ledger.sent.setdefault(("s", "c"), []).append(number)

    def refused(self) -> None:
        """A call that is refused: the wait that went along with it goes on."""
        with pytest.raises(UnknownChild):
            self.hub.ref("nobody").call("entries")

    @property
    def idle(self) -> list[Any]:
        session: Any = self.hub.driver.asker()
        return lanes_idle(session.redis)


def run(server: RedisServer, scenario: Callable[[Caller], None]) -> None:
    """A node, a child, a call by which a connection stands; the scenario in a thread; at the end the ledger."""

    _MAY_ANSWER.set()

    async def main() -> None:
        hub = Hub(f"s{os.getpid()}-{next(_numbers)}", redis=server, shards=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Waits)
            ledger = Ledger(hub)

            def waits() -> None:
                with Redis.from_url(server.url) as redis:
                    caller = Caller(hub, ledger, redis)
                    caller.call()
                    scenario(caller)
                    caller.call()

            await asyncio.to_thread(waits)
            await ledger.check()
            hub.close()

    asyncio.run(main())


class _Written:
    """A socket that keeps what is written, and is lost with the first answer if it is told how."""

    def __init__(self, socket: Any, writes: list[bytes], loses: Callable[[], None] | None = None) -> None:
        self._socket = socket
        self._writes = writes
        self._loses = loses

    def sendall(self, data: bytes) -> None:
        self._writes.append(data)
        self._socket.sendall(data)

    def recv_into(self, buffer: bytearray) -> int:
        size: int = self._socket.recv_into(buffer)
        if self._loses is not None:
            self._loses()
            raise ConnectionResetError("lost by the test")
        return size

    def fileno(self) -> int:
        return int(self._socket.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def test_one_write_on_one_connection_for_each_call(real_server: RedisServer) -> None:
    def scenario(caller: Caller) -> None:
        (lane,) = caller.idle
        writes: list[bytes] = []
        lane._socket = _Written(lane._socket, writes)
        caller.call()
        (written,) = writes
        assert written.count(b"EVALSHA") == 1
        assert written.count(b"BLPOP") == 1
        assert caller.idle == [lane]

    run(real_server, scenario)


def test_redis_has_forgotten_its_scripts(real_server: RedisServer) -> None:
    run(real_server, lambda caller: caller.redis.script_flush())


def test_all_connections_are_lost(real_server: RedisServer) -> None:
    run(real_server, lambda caller: caller.redis.client_kill_filter(_type="normal", skipme=True))


def test_the_answer_is_lost_once_the_script_has_run(real_server: RedisServer) -> None:
    def scenario(caller: Caller) -> None:
        (lane,) = caller.idle
        host, port = lane._socket.getsockname()[:2]

        def loses() -> None:
            """Redis hears of it before the child answers: else the wait on the lost connection would take the reply with it."""
            caller.redis.client_kill_filter(addr=f"{host}:{port}")
            _MAY_ANSWER.set()

        _MAY_ANSWER.clear()
        lane._socket = _Written(lane._socket, [], loses)
        caller.call()
        session: Any = caller.hub.driver.asker()
        assert (lane.lost, session.redis.repeated) == (True, 1)

    run(real_server, scenario)


def test_the_wait_of_a_call_that_was_refused_brings_the_reply_to_the_next(real_server: RedisServer) -> None:
    def scenario(caller: Caller) -> None:
        caller.refused()
        assert caller.idle == []
        caller.call()
        assert len(caller.idle) == 2  # that of the wait, and that of the message

    run(real_server, scenario)


def test_a_wait_that_was_lost_is_begun_anew(real_server: RedisServer) -> None:
    def scenario(caller: Caller) -> None:
        caller.refused()
        caller.redis.client_kill_filter(_type="normal", skipme=True)
        caller.call()

    run(real_server, scenario)


def test_a_call_ends_in_time_though_the_wait_of_another_goes_on(real_server: RedisServer) -> None:
    def scenario(caller: Caller) -> None:
        caller.hub.pause(child="c")
        caller.refused()
        began = time.monotonic()
        with pytest.raises(CallTimeout):
            caller.hub.ref("c").call("entries", timeout=0.2)
        assert time.monotonic() - began < 1.5  # (the wait goes on for 2 s)
        caller.hub.resume(child="c")
        caller.call()

    run(real_server, scenario)


def test_a_call_that_is_awaited_later_is_answered_by_the_wait_of_another(real_server: RedisServer) -> None:
    def scenario(caller: Caller) -> None:
        later = caller.hub.ref("c").begin("entries")
        caller.call()
        assert later.result() is not None

    run(real_server, scenario)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_does_not_take_the_reply_of_its_parent(real_server: RedisServer) -> None:
    def scenario(caller: Caller) -> None:
        caller.refused()
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if caller.hub.ref("c").call("entries") else 1)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        caller.call()

    run(real_server, scenario)
