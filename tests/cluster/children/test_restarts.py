"""A child whose ``run()`` failed is restarted: with every message, and with one ``run()``."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from hubq import Child, ChildSpec, Hub
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, interfere, probe


class Restless(LedgerChild):
    """Its run() raises again and again."""

    async def run(self) -> None:
        await asyncio.sleep(0.01)
        raise RuntimeError("again")


def test_restarts_lose_no_message(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Restless, ["r0", "r1"])
            senders = [f"s{n}" for n in range(6)]

            async def send(sender: str) -> None:
                for n in range(60):
                    await ledger.call(sender, f"r{n % 2}")

            await asyncio.gather(*(send(sender) for sender in senders))
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


async def start(hub: Hub, kind: Any, names: list[str]) -> None:
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names])
    assert result.status == "ok"


class Worker(Child):
    """Its first run() fails when it is told to; it is held in a message meanwhile."""

    runs: ClassVar[int] = 0
    may_fail: ClassVar[asyncio.Event]
    may_end: ClassVar[asyncio.Event]
    transient = ("mine",)

    async def run(self) -> None:
        type(self).runs += 1
        self.mine = self.runs
        if self.runs == 1:
            await self.may_fail.wait()
            raise RuntimeError("the first one fails")
        await asyncio.Event().wait()

    async def held(self) -> None:
        await self.may_end.wait()

    async def first(self) -> int:
        return self.mine


def test_a_child_whose_run_is_to_be_restarted_has_no_other_run(make_hub: Any) -> None:
    """It was begun when a move left the child where it was; what it committed was undone by the restart."""

    async def scenario() -> None:
        Worker.runs, Worker.may_fail, Worker.may_end = 0, asyncio.Event(), asyncio.Event()
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_child("worker", Worker)
            held = asyncio.ensure_future(hub.aio.ref("worker").call("held", timeout=10))
            await eventually(lambda: probe(node).busy, 10, "it is busy")
            Worker.may_fail.set()
            worker = probe(node).the_child("worker")
            await eventually(lambda: not worker.runs, 10, "its run() has failed")
            interfere.begin_run(node, worker)
            Worker.may_end.set()
            await held
            await eventually(lambda: Worker.runs == 2, 10, "it is restarted")
            assert await hub.aio.ref("worker").call("first", timeout=10) == 2, (
                "the second run() is of the restarted child"
            )

    asyncio.run(scenario())
