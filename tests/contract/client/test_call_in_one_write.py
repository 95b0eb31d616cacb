"""A call and the wait for its reply go out in one write on one connection, and what is refused or lost there goes on as elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import Hub
from hubq.store.connection import RedisServer
from hubq.testing import Ledger, eventually
from tests.contract.client.one_child import run, session_of


def test_one_request_for_each_call(real_server: RedisServer) -> None:
    async def scenario(hub: Hub, ledger: Ledger, redis: Any) -> None:
        session = await session_of(hub)
        lane = session.redis.lane(blocking=True)
        assert lane is not None
        session.redis.give_back(lane)
        writes: list[bytes] = []
        lane._transport = _Written(lane._transport, writes)
        await ledger.call("s", "c")
        assert len(writes) == 1
        assert writes[0].count(b"EVALSHA") == 1
        assert writes[0].count(b"BLPOP") == 1

    run(real_server, scenario)


class _Written:
    """A transport that keeps what is written."""

    def __init__(self, transport: Any, writes: list[bytes]) -> None:
        self._transport = transport
        self._writes = writes

    def write(self, data: bytes) -> None:
        self._writes.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def test_redis_has_forgotten_its_scripts(real_server: RedisServer) -> None:
    async def scenario(hub: Hub, ledger: Ledger, redis: Any) -> None:
        await redis.script_flush()
        await ledger.call("s", "c")

    run(real_server, scenario)


@pytest.mark.parametrize("waiting", [False, True])
def test_all_connections_are_lost(real_server: RedisServer, waiting: bool) -> None:
    async def scenario(hub: Hub, ledger: Ledger, redis: Any) -> None:
        call = asyncio.ensure_future(ledger.call("s", "c")) if waiting else None
        if waiting:
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # it is written
        await redis.execute_command("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")
        await (call if call is not None else ledger.call("s", "c"))
        await ledger.call("s", "c")

    run(real_server, scenario)


@pytest.mark.parametrize("calls", [True, False])
def test_the_answer_is_lost_once_the_script_has_run(real_server: RedisServer, calls: bool) -> None:
    async def scenario(hub: Hub, ledger: Ledger, redis: Any) -> None:
        # The child answers later: else its reply may be in what is lost here, if the worker is quick.
        await hub.aio.pause(child="c")
        session, again = await session_of(hub), (ledger.call if calls else ledger.cast)
        lane = session.redis.lane(blocking=calls)
        if calls:
            session.redis.give_back(lane)
        lane.data_received = lambda data: lane.close()
        sent = asyncio.ensure_future(again("s", "c"))
        await eventually(lambda: lane.lost, what="the answer is lost")
        await hub.aio.resume(child="c")
        await sent
        assert session.redis.repeated == 1
        await again("s", "c")

    run(real_server, scenario)


def test_a_call_that_nobody_waits_for_any_more(real_server: RedisServer) -> None:
    async def scenario(hub: Hub, ledger: Ledger, redis: Any) -> None:
        lost = asyncio.ensure_future(hub.aio.ref("c").call("entries"))
        await asyncio.sleep(0)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        await asyncio.gather(*(ledger.call(f"s{n}", "c") for n in range(20)))

    run(real_server, scenario)
