"""ProcessHub's partition tolerance cases with real workers: what becomes of a hub when many of its nodes are gone at once.

Each ends with the ledger: what was in hand, what was sent meanwhile and every state is there when the hub goes on.
"""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest
from acceptance.conftest import Shell

from hubq import Hub, Partitioned
from hubq.testing import Ledger, eventually
from parity.test_process_hub import kinds, play, record_all, spawn, start

__all__ = ["kinds"]
pytestmark = pytest.mark.acceptance


async def members(hub: Hub, *names: str) -> None:
    async def as_expected() -> bool:
        found = await hub.aio.nodes()
        return {node.name for node in found} == set(names) and all(node.shards for node in found)

    await eventually(as_expected, 40.0, f"the members are {names}, and each has shards")


async def partitioned(hub: Hub, expected: bool) -> None:
    async def as_expected() -> bool:
        return await hub.aio.is_partitioned() is expected

    await eventually(as_expected, 20.0, f"partitioned: {expected}")


async def stands_still(shell: Shell, hub: Hub, kinds: Any, ledger: Ledger, children: list[str], *, have: int) -> None:
    """Intake is closed, starts and stops are refused, the tools say so; what is sent waits."""
    for worker in [worker for worker in shell.workers if worker.running]:
        await asyncio.to_thread(worker.wait_line, r"node \w+ closes intake: no quorum since .*Z: \d+ live")
    for child in children:
        await ledger.cast("waiting", child)
    with pytest.raises(Partitioned, match=rf"no quorum since .*: {have} live nodes, the quorum is {have + 1} "):
        await hub.aio.start_child("new", kinds.Plain)
    with pytest.raises(Partitioned):
        await hub.aio.stop_child(children[0])
    waiting = {child.child_id: child.backlog for child in await hub.aio.children()}
    assert waiting == dict.fromkeys(children, 1), "nothing has been handled, and nothing was started"
    nodes = await asyncio.to_thread(shell.run, "nodes", hub.hub_id)
    assert nodes.returncode == 0 and f"{have} live nodes, the quorum is {have + 1}" in nodes.stderr
    doctor = await asyncio.to_thread(shell.run, "doctor", hub.hub_id)
    assert doctor.returncode == 1 and "no quorum" in doctor.stdout


async def goes_on(hub: Hub, kinds: Any, ledger: Ledger, children: list[str]) -> None:
    await partitioned(hub, False)
    await record_all(ledger, "after", children)
    await hub.aio.start_child("new", kinds.Plain)
    await hub.aio.stop_child("new")
    assert ledger.failed == []
    await ledger.check()


@pytest.mark.long
def test_static_quorum_stops_below_n_and_resumes(shell: Shell, hub: Hub, kinds: Any) -> None:
    shell.environment["PARITY_QUORUM"] = "static"

    async def scenario(ledger: Ledger) -> None:
        _, b, c = await asyncio.to_thread(spawn, shell, "a", "b", "c")
        await members(hub, "a", "b", "c")
        children = await start(hub, kinds.Plain, 60)
        await record_all(ledger, "before", children)
        c.signal(signal.SIGTERM)
        assert await asyncio.to_thread(c.wait, 30.0) == 0
        await record_all(ledger, "two are enough", children)
        b.signal(signal.SIGKILL)
        await members(hub, "a")
        await partitioned(hub, True)
        await stands_still(shell, hub, kinds, ledger, children, have=1)
        await asyncio.to_thread(spawn, shell, "d")
        await goes_on(hub, kinds, ledger, children)

    play(hub, scenario)


@pytest.mark.long
def test_dynamic_quorum_of_70_per_cent(shell: Shell, hub: Hub, kinds: Any) -> None:
    shell.environment["PARITY_QUORUM"] = "dynamic"

    async def scenario(ledger: Ledger) -> None:
        _, _, c, d = await asyncio.to_thread(spawn, shell, "a", "b", "c", "d")
        await members(hub, "a", "b", "c", "d")
        children = await start(hub, kinds.Plain, 60)
        await record_all(ledger, "before", children)
        d.signal(signal.SIGKILL)
        await members(hub, "a", "b", "c")
        await record_all(ledger, "75 % are enough", children)
        c.signal(signal.SIGKILL)
        await members(hub, "a", "b")
        await partitioned(hub, True)
        await stands_still(shell, hub, kinds, ledger, children, have=2)
        await asyncio.to_thread(spawn, shell, "e")
        await goes_on(hub, kinds, ledger, children)

    play(hub, scenario)


@pytest.mark.long
def test_majority_quorum_grows_with_the_cluster(shell: Shell, hub: Hub, kinds: Any) -> None:
    shell.environment["PARITY_QUORUM"] = "majority"

    async def scenario(ledger: Ledger) -> None:
        (a,) = await asyncio.to_thread(spawn, shell, "a")
        children = await start(hub, kinds.Plain, 60)
        await record_all(ledger, "one of one", children)
        b, c = await asyncio.to_thread(spawn, shell, "b", "c")
        await members(hub, "a", "b", "c")
        c.signal(signal.SIGKILL)
        await members(hub, "a", "b")
        await record_all(ledger, "two of three", children)
        b.signal(signal.SIGKILL)
        await members(hub, "a")
        await partitioned(hub, True)
        await stands_still(shell, hub, kinds, ledger, children, have=1)
        a.signal(signal.SIGTERM)
        assert await asyncio.to_thread(a.wait, 30.0) == 0, "a drain needs no quorum"
        await asyncio.to_thread(spawn, shell, "d")
        await members(hub, "d")
        assert await hub.aio.is_partitioned(), "the largest cluster is remembered when all have gone"
        await asyncio.to_thread(spawn, shell, "e")
        await goes_on(hub, kinds, ledger, children)

    play(hub, scenario)


def test_divergence_keeps_both_sides_running(shell: Shell, hub: Hub, kinds: Any) -> None:
    """Two of three are cut off for longer than their lease: the third serves everything. When they are back, all do."""

    async def scenario(ledger: Ledger) -> None:
        _, b, c = await asyncio.to_thread(spawn, shell, "a", "b", "c")
        await members(hub, "a", "b", "c")
        children = await start(hub, kinds.Plain, 60)
        await record_all(ledger, "before", children)
        for worker in (b, c):
            worker.signal(signal.SIGSTOP)
        await members(hub, "a")
        assert not await hub.aio.is_partitioned()
        await record_all(ledger, "alone", children)
        await hub.aio.start_child("new", kinds.Plain)
        for worker in (b, c):
            worker.signal(signal.SIGCONT)
        await members(hub, "a", "b", "c")
        await hub.aio.stop_child("new")
        await record_all(ledger, "after", children)
        assert ledger.failed == []
        await ledger.check()

    play(hub, scenario)
