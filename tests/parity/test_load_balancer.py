"""ProcessHub's case of the centralized load balancer with real workers: children start and are removed, nodes come and go."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest
from acceptance.conftest import Shell, WorkerProcess

from hubq import ChildSpec, Hub
from hubq.store.assignment import Assignment, read_assignment
from hubq.store.connection import AsyncRedis
from hubq.testing import Ledger, eventually

pytestmark = pytest.mark.acceptance
APPS = Path(__file__).parent / "apps"


@pytest.mark.long
def test_centralized_load_balancer_start_and_remove(shell: Shell, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.environment["PYTHONPATH"] = str(APPS)
    monkeypatch.setenv("HUBQ_TEST_HUB", hub.hub_id)
    monkeypatch.syspath_prepend(str(APPS))
    import balanced_app

    async def worker(name: str) -> WorkerProcess:
        def spawned() -> WorkerProcess:
            found = shell.spawn("balanced_app:hub", "--name", name)
            found.wait_line(rf"hubq worker {name}: hub ")
            return found

        return await asyncio.to_thread(spawned)

    async def record_all(ledger: Ledger, sender: str, children: list[str]) -> None:
        await asyncio.gather(*(ledger.call(sender, child, timeout=30) for child in children))

    async def scenario() -> None:
        ledger, redis = Ledger(hub), AsyncRedis(hub.server)

        async def led_by(leader: str, nodes: str) -> Assignment:
            """Wait until this node has published, and the shards are spread over exactly these nodes, about evenly."""

            async def as_expected() -> Any:
                published = await redis.run(read_assignment(hub.keys))
                shards = {node.name: node.shards for node in await hub.aio.nodes()}
                even = set(shards) == set(nodes) and min(shards.values()) >= 64 // len(nodes) // 2
                return published if published.leader == leader and even else None

            found: Assignment = await eventually(as_expected, 40.0, f"{leader} leads {nodes}")
            return found

        try:
            a = await worker("a")
            specs = [ChildSpec(f"child-{n}", balanced_app.Measured) for n in range(100)]
            assert len((await hub.aio.start_children(specs, timeout=30)).started) == 100
            children = [spec.child_id for spec in specs]
            await record_all(ledger, "alone", children)
            await led_by("a", "a")
            b = await worker("b")
            await worker("c")
            await record_all(ledger, "joining", children)
            first = await led_by("a", "abc")  # nobody is told to: they get work by the next rebalances
            assert {pids[0].node for pids in (await hub.aio.process_list()).values()} == {"a", "b", "c"}
            stopped = await hub.aio.stop_children(children[50:], timeout=30)
            assert set(stopped.cids) == set(children[50:])
            assert set(await hub.aio.process_list()) == set(children[:50])
            again = await hub.aio.start_children(specs[50:], timeout=30)
            assert again.status == "ok"
            assert await hub.aio.ref(children[50]).call("entries") == {}, "a new child, not the old one's state"
            a.signal(signal.SIGKILL)
            await record_all(ledger, "leaderless", children[:50])
            second = await led_by("b", "bc")
            assert second.epoch > first.epoch
            b.signal(signal.SIGTERM)
            await record_all(ledger, "draining", children[:50])
            assert await asyncio.to_thread(b.wait, 30.0) == 0
            await led_by("c", "c")
            assert ledger.failed == []
            ledger.sent = {(s, c): numbers for (s, c), numbers in ledger.sent.items() if c in children[:50]}
            await ledger.check()
        finally:
            await redis.close()
            await hub.aio.close()

    asyncio.run(scenario())
