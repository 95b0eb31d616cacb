"""Hot swap between real worker processes, under constant calls: the numbers the issue asks for, as properties."""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hubq import Child, ChildSpec, Hub
from hubq.core.hashing import shard_of
from hubq.testing import Ledger, LedgerChild, eventually

from .conftest import APPS, Shell, WorkerProcess

pytestmark = pytest.mark.acceptance


class Traffic:
    """Constant calls to many children from one event loop, until it is ended."""

    def __init__(self, ledger: Ledger, children: list[str], senders: int) -> None:
        self.ledger = ledger
        self.count = 0
        self._stop = False
        self._tasks = [asyncio.ensure_future(self._send(f"s{n}", children[n::senders])) for n in range(senders)]

    async def _send(self, sender: str, children: list[str]) -> None:
        turn = 0
        while not self._stop:
            await self.ledger.call(sender, children[turn % len(children)], timeout=30)
            self.count += 1
            turn += 1

    async def more(self, count: int) -> None:
        goal = self.count + count
        await eventually(lambda: self.count >= goal, 60.0, f"{count} more messages")

    async def end(self) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)


def spawn(shell: Shell, name: str) -> WorkerProcess:
    worker = shell.spawn("ledgers:hub", "--name", name)
    worker.wait_line(rf"hubq worker {name}: hub ")
    return worker


async def shards(hub: Hub) -> dict[str, int]:
    return {node.name: node.shards for node in await hub.aio.nodes()}


def play(hub: Hub, scenario: Callable[[Ledger], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            await scenario(Ledger(hub))
        finally:
            await hub.aio.close()

    asyncio.run(whole())


async def start(hub: Hub, kind: type[Child], count: int) -> list[str]:
    names = [f"child-{n}" for n in range(count)]
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names], timeout=30)
    assert len(result.started) == count
    return names


async def evenly(hub: Hub, **expected: int) -> None:
    async def as_expected() -> bool:
        children_pinned = any(node.pins for node in await hub.aio.nodes())
        return await shards(hub) == expected and not children_pinned

    await eventually(as_expected, 30.0, f"shards: {expected}")


@pytest.mark.alone  # it fills the machine
def test_a_thousand_children_join_and_drain_under_constant_calls(shell: Shell, hub: Hub) -> None:
    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(spawn, shell, "a")
        children = await start(hub, LedgerChild, 1000)
        traffic = Traffic(ledger, children, 24)
        await traffic.more(1500)
        b = await asyncio.to_thread(spawn, shell, "b")
        await evenly(hub, a=32, b=32)
        moved = [child for child in await hub.aio.children() if child.node == "b"]
        assert 400 < len(moved) < 600
        await traffic.more(1500)
        b.signal(signal.SIGTERM)
        assert await asyncio.to_thread(b.wait) == 0
        await evenly(hub, a=64)
        await traffic.more(1500)
        await traffic.end()
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


def busy_class() -> Any:
    sys.path.insert(0, str(APPS))
    try:
        return importlib.import_module("ledgers").Busy
    finally:
        sys.path.remove(str(APPS))


@pytest.mark.alone  # it compares what happens with what takes 5 s, the start of a worker among it
def test_a_child_busy_for_seconds_follows_and_its_neighbours_do_not_wait(
    shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBQ_TEST_HUB", hub.hub_id)
    kind = busy_class()

    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(spawn, shell, "a")
        children = await start(hub, kind, 300)
        long = [child for child in children if shard_of(child, 64) % 4 == 1][:12]
        in_hand = [asyncio.ensure_future(hub.aio.ref(child).call("work", 5.0, "x", 1, timeout=30)) for child in long]
        traffic = Traffic(ledger, [child for child in children if child not in long], 8)
        await traffic.more(200)
        await asyncio.to_thread(spawn, shell, "b")

        async def moved() -> bool:
            return await shards(hub) == {"a": 32, "b": 32}

        await eventually(moved, 30.0, "the neighbours have moved")
        pinned = [child for child in await hub.aio.children() if child.pinned]
        assert pinned, "some busy child was in a shard that moved"
        assert all(not task.done() for task in in_hand), "they moved while the others were busy"
        assert {child.node for child in pinned} == {"a"} and {child.child_id for child in pinned} <= set(long)
        assert [await task for task in in_hand] == ["a"] * len(long)
        await evenly(hub, a=32, b=32)
        for child in long:
            assert await hub.aio.ref(child).call("entries") == {"x": [1]}
        for child in pinned:
            assert (await hub.aio.where(child.child_id)).node == "b"
        await traffic.end()
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSTOP"])
def test_a_dead_or_frozen_worker_is_taken_over(shell: Shell, hub: Hub, how: str) -> None:
    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(spawn, shell, "a")
        b = await asyncio.to_thread(spawn, shell, "b")
        await evenly(hub, a=32, b=32)
        children = await start(hub, LedgerChild, 200)
        traffic = Traffic(ledger, children, 12)
        await traffic.more(500)
        b.signal(getattr(signal, how))
        await evenly(hub, a=64)
        await traffic.more(300)
        if how == "SIGSTOP":
            b.signal(signal.SIGCONT)
            await asyncio.to_thread(b.wait_line, "evicted; its children stop here")
            await evenly(hub, a=32, b=32)
            await traffic.more(300)
        await traffic.end()
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


def test_the_only_worker_stops_and_another_goes_on(shell: Shell, hub: Hub) -> None:
    async def scenario(ledger: Ledger) -> None:
        a = await asyncio.to_thread(spawn, shell, "a")
        children = await start(hub, LedgerChild, 50)
        for child in children:
            await ledger.call("before", child)
        a.signal(signal.SIGTERM)
        assert await asyncio.to_thread(a.wait) == 0
        assert {child.status for child in await hub.aio.children()} == {"waiting"}
        for child in children:
            await ledger.cast("between", child)
        await asyncio.to_thread(spawn, shell, "b")
        for child in children:
            await ledger.call("after", child)
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)
