"""ProcessHub's own integration cases, held to with real worker processes on a real Redis (docs/parity.md)."""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from acceptance.conftest import APPS, Shell, WorkerProcess

from hubq import ChildSpec, Hub
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.owners import read_owners
from hubq.testing import Ledger, eventually

pytestmark = pytest.mark.acceptance


@pytest.fixture
def kinds(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The classes of the app that the workers run."""
    monkeypatch.setenv("HUBQ_TEST_HUB", hub.hub_id)
    monkeypatch.syspath_prepend(str(APPS))
    yield importlib.import_module("parity_app")
    del sys.modules["parity_app"]


def spawn(shell: Shell, *names: str) -> list[WorkerProcess]:
    workers = [shell.spawn("parity_app:hub", "--name", name) for name in names]
    for worker, name in zip(workers, names, strict=True):
        worker.wait_line(rf"hubq worker {name}: hub ", 60.0)
    return workers


def play(hub: Hub, scenario: Callable[[Ledger], Awaitable[None]]) -> None:
    async def whole() -> None:
        try:
            await scenario(Ledger(hub))
        finally:
            await hub.aio.close()

    asyncio.run(whole())


async def start(hub: Hub, kind: Any, count: int) -> list[str]:
    names = [f"child-{n}" for n in range(count)]
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names], timeout=30)
    assert result.status == "ok" and len(result.started) == count
    return names


async def shards(hub: Hub, **expected: int) -> None:
    async def as_expected() -> bool:
        nodes = await hub.aio.nodes()
        return {node.name: node.shards for node in nodes} == expected and not any(node.pins for node in nodes)

    await eventually(as_expected, 40.0, f"shards: {expected}")


async def record_all(ledger: Ledger, sender: str, children: list[str]) -> None:
    """One call to every child, many at a time."""
    for first in range(0, len(children), 100):
        await asyncio.gather(*(ledger.call(sender, child, timeout=30) for child in children[first : first + 100]))


def test_pub_sub_start_and_remove(shell: Shell, hub: Hub, kinds: Any) -> None:
    """Children are started and stopped on three nodes; every node and client knows of it at once."""

    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(spawn, shell, "a", "b", "c")

        async def all_served() -> bool:
            return sorted(node.shards for node in await hub.aio.nodes()) == [21, 21, 22]

        await eventually(all_served, 40.0, "three nodes have their share")
        children = await start(hub, kinds.Plain, 100)
        assert set(await hub.aio.process_list()) == set(children)
        assert {pids[0].node for pids in (await hub.aio.process_list()).values()} == {"a", "b", "c"}
        await record_all(ledger, "s", children)
        stopped = await hub.aio.stop_children(children[:50], timeout=30)
        assert stopped.status == "ok" and set(stopped.cids) == set(children[:50])
        assert set(await hub.aio.process_list()) == set(children[50:])
        assert await hub.aio.pids_of(children[:50]) == {}
        again = await hub.aio.start_children([ChildSpec(child, kinds.Plain) for child in children[:50]], timeout=30)
        assert again.status == "ok"
        assert await hub.aio.ref(children[0]).call("entries") == {}, "a new child, not the old one's state"

    play(hub, scenario)


@pytest.mark.long
def test_interval_sync_repairs_a_damaged_view(shell: Shell, hub: Hub, kinds: Any) -> None:
    """Somebody writes nonsense into the owners; without any event the nodes notice and take their shards back."""

    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(spawn, shell, "a", "b")
        await shards(hub, a=32, b=32)
        children = await start(hub, kinds.Plain, 60)
        await record_all(ledger, "before", children)
        redis = AsyncRedis(hub.server)
        owners = await redis.run(read_owners(hub.keys))
        for shard in range(0, 64, 3):
            line = f"ghost 99 {owners.shards[shard].token + 1}"
            await redis.run(plain("HSET", hub.keys.owners, str(shard), line, read=int))

        async def mended() -> bool:
            now = await redis.run(read_owners(hub.keys))
            return {owner.node for owner in now.shards.values()} == {"a", "b"}

        await eventually(mended, 20.0, "every shard has a living owner again")
        await redis.close()
        await record_all(ledger, "after", children)
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


def test_a_failing_process_is_restarted(shell: Shell, hub: Hub, kinds: Any) -> None:
    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(spawn, shell, "a")
        (child,) = await start(hub, kinds.Counter, 1)
        await ledger.call("s", child)
        for failures in (1, 2, 3):
            await hub.aio.ref(child).call("break_down")

            async def restarted(failures: int = failures) -> bool:
                return bool((await hub.aio.ref(child).call("told"))["runs"] == failures + 1)

            await eventually(restarted, 15.0, f"run() began again after failure {failures}")
        await ledger.call("s", child)
        await ledger.check()
        assert (await hub.aio.child_lookup(child)).status == "running"

    play(hub, scenario)


def test_singularity_exactly_one_copy(shell: Shell, hub: Hub, kinds: Any) -> None:
    """However nodes come, go and die: one pid each, and no message is applied by two."""

    async def scenario(ledger: Ledger) -> None:
        await asyncio.to_thread(spawn, shell, "a")
        children = await start(hub, kinds.Plain, 100)
        _, c = await asyncio.to_thread(spawn, shell, "b", "c")
        for step in ("joined", "killed", "settled"):
            if step == "killed":
                c.signal(signal.SIGKILL)
            await record_all(ledger, step, children)
            pids = await hub.aio.pids_of(children)
            assert set(pids) == set(children) and all(len(copies) == 1 for copies in pids.values())
        await shards(hub, a=32, b=32)
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


@pytest.mark.parametrize("how", [pytest.param("join", marks=pytest.mark.long), "drain"])
def test_cold_swap(shell: Shell, hub: Hub, kinds: Any, how: str) -> None:
    shell.environment["PARITY_SWAP"] = "cold"

    async def scenario(ledger: Ledger) -> None:
        (a,) = await asyncio.to_thread(spawn, shell, "a")
        children = await start(hub, kinds.Plain, 100)
        await record_all(ledger, "before", children)
        await asyncio.to_thread(spawn, shell, "b")
        if how == "drain":
            a.signal(signal.SIGTERM)
            await record_all(ledger, "meanwhile", children)
            assert await asyncio.to_thread(a.wait, 30.0) == 0
            await shards(hub, b=64)
        else:
            await record_all(ledger, "meanwhile", children)
            await shards(hub, a=32, b=32)
        await record_all(ledger, "after", children)
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


@pytest.mark.long  # (every day: tests/acceptance/test_hot_swap.py, with calls all the time)
def test_hot_swap_of_a_thousand_children_in_both_directions(shell: Shell, hub: Hub, kinds: Any) -> None:
    """To a joining node and back when it leaves, each with the state of every child."""

    async def scenario(ledger: Ledger) -> None:
        (a,) = await asyncio.to_thread(spawn, shell, "a")
        children = await start(hub, kinds.Plain, 1000)
        await record_all(ledger, "on a", children)
        (b,) = await asyncio.to_thread(spawn, shell, "b")
        await shards(hub, a=32, b=32)
        there = [child.child_id for child in await hub.aio.children(node="b")]
        assert 400 < len(there) < 600
        await asyncio.to_thread(b.wait_line, r"migrated \d+ from a to b")
        await record_all(ledger, "on both", children)
        b.signal(signal.SIGTERM)
        assert await asyncio.to_thread(b.wait, 30.0) == 0
        await shards(hub, a=64)
        await asyncio.to_thread(a.wait_line, r"migrated \d+ from b to a")
        await record_all(ledger, "on a again", children)
        assert len(await hub.aio.children(node="a")) == 1000
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)


@pytest.mark.long
def test_hot_swap_on_graceful_shutdown(shell: Shell, hub: Hub, kinds: Any) -> None:
    """The only node ends; its children's states wait, and are there on the next."""

    async def scenario(ledger: Ledger) -> None:
        (a,) = await asyncio.to_thread(spawn, shell, "a")
        children = await start(hub, kinds.Counter, 100)
        await record_all(ledger, "on a", children)
        a.signal(signal.SIGTERM)
        assert await asyncio.to_thread(a.wait, 30.0) == 0
        assert {child.status for child in await hub.aio.children()} == {"waiting"}
        await asyncio.to_thread(spawn, shell, "b")
        await record_all(ledger, "on b", children)
        told = await hub.aio.ref(children[0]).call("told")
        assert told == {"node": "b", "runs": 2}
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)
