"""A call goes out beside a batch of casts that Redis has not answered yet, but behind what is for its own child."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq import Hub
from hubq.store.connection import RedisServer
from hubq.testing import Ledger, LedgerChild
from tests.contract.client.one_child import run, session_of


class Held:
    """A transport that keeps what is written until it may go."""

    def __init__(self, transport: Any) -> None:
        self.kept = bytearray()
        self.wrote = asyncio.Event()
        self._transport = transport

    def write(self, data: bytes) -> None:
        self.kept += data
        self.wrote.set()

    def release(self) -> Any:
        self._transport.write(bytes(self.kept))
        return self._transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def casts_under_way(hub: Hub, ledger: Ledger, child: str) -> tuple[Any, asyncio.Task[Any]]:
    """Casts to a child are on their way, and do not come to Redis before the transport of this connection is put back."""
    await ledger.cast("s", child)  # the connection stands
    lane = (await session_of(hub)).redis.lane(blocking=False)
    held = lane._transport = Held(lane._transport)
    casts = asyncio.create_task(ledger.cast("s", child))
    await held.wrote.wait()
    return lane, casts


def test_a_call_to_another_child_does_not_wait(real_server: RedisServer) -> None:
    async def scenario(hub: Hub, ledger: Ledger, redis: Any) -> None:
        await hub.aio.start_child("d", LedgerChild)
        lane, casts = await casts_under_way(hub, ledger, "d")
        await ledger.call("s", "c")
        assert not casts.done()
        later = asyncio.create_task(ledger.cast("t", "d"))  # behind the casts, as ever
        await ledger.call("s", "c")
        assert not later.done()
        lane._transport = lane._transport.release()
        await asyncio.gather(casts, later)

    run(real_server, scenario)


def test_a_call_waits_for_what_is_sent_to_its_own_child(real_server: RedisServer) -> None:
    async def scenario(hub: Hub, ledger: Ledger, redis: Any) -> None:
        await hub.aio.start_child("d", LedgerChild)
        lane, casts = await casts_under_way(hub, ledger, "d")
        behind = [asyncio.create_task(ledger.cast("s", "c")), asyncio.create_task(ledger.call("t", "c"))]
        beside = asyncio.create_task(ledger.call("t", "d"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(task.done() for task in (*behind, beside))
        lane._transport = lane._transport.release()
        await asyncio.gather(casts, *behind, beside)

    run(real_server, scenario)


@pytest.mark.parametrize("lost", ["before", "after"])
def test_its_connection_is_lost(real_server: RedisServer, lost: str) -> None:
    """``after``: Redis has run the script, and the answer is lost. The casts, which are answered meanwhile, do not mind."""

    async def scenario(hub: Hub, ledger: Ledger, redis: Any) -> None:
        await hub.aio.start_child("d", LedgerChild)
        # The child answers later: else its reply may be in what is lost here, if the worker is quick.
        await hub.aio.pause(child="c")
        lane, casts = await casts_under_way(hub, ledger, "d")
        session = await session_of(hub)
        beside = session.redis.lane(blocking=True)
        session.redis.give_back(beside)
        answered = asyncio.Event()
        if lost == "before":
            held = beside._transport = Held(beside._transport)
            answered = held.wrote
        else:
            beside.data_received = lambda data: answered.set()
        call = asyncio.create_task(ledger.call("s", "c"))
        await answered.wait()
        beside.close()
        lane._transport = lane._transport.release()
        await hub.aio.resume(child="c")
        await asyncio.gather(casts, call)
        assert session.redis.repeated == 1
        await ledger.call("s", "c")

    run(real_server, scenario)
