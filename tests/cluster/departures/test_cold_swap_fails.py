"""A cold swap whose target dies: the children were stopped, the shard stays, and is built again from its last commit."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, ClassVar

from hubq import ChildSpec, ColdSwap, Hub
from hubq.core.hashing import shard_of
from hubq.strategies.migration.protocol import Handover
from hubq.testing import Cluster, Ledger, LedgerChild, eventually, moments, probe


class Paused(ColdSwap):
    """Waits before the token passes until the test lets it go on."""

    reached: ClassVar[asyncio.Event]
    go_on: ClassVar[asyncio.Event]

    async def handle_migration(self, handover: Handover) -> None:
        await handover.close_intake(self.straggler_grace)
        await handover.collect_states(self.handover_data_wait, True)
        await handover.stop_children()
        Paused.reached.set()
        await Paused.go_on.wait()
        if await handover.pass_token():
            handover.follow(self.retention)
            await handover.dispose()


class Held(LedgerChild):
    """Held in a message, which it counts."""

    gate: ClassVar[asyncio.Event]
    begun: ClassVar[int] = 0
    twice: ClassVar[asyncio.Event]

    async def hold(self, sender: str, number: int) -> int:
        type(self).begun += 1
        if self.begun > 2:
            Held.twice.set()
        await Held.gate.wait()
        return await self.record(sender, number)


def test_what_was_finished_meanwhile_is_not_handled_once_more(make_hub: Any) -> None:
    """The shard was taken up again while its last commit was under way, with the state and the messages of before."""

    async def late() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(Held.twice.wait(), 0.7)

    async def scenario() -> None:
        Paused.reached, Paused.go_on = asyncio.Event(), asyncio.Event()
        Held.gate, Held.twice, Held.begun = asyncio.Event(), asyncio.Event(), 0
        hub: Hub = make_hub(shards=2, migration=Paused(retention=30.0))
        names = [next(f"c{n}" for n in range(100) if shard_of(f"c{n}", 2) == shard) for shard in range(2)]
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            for name in names:
                await hub.aio.start_child(name, Held)
            held = [asyncio.ensure_future(hub.aio.ref(name).call("hold", "x", 1, timeout=30)) for name in names]
            await eventually(lambda: Held.begun == 2, 10, "both are held; one shard is to go")
            await cluster.start("b")
            await asyncio.wait_for(Paused.reached.wait(), 10)
            with moments.before_each_last_commit(late):
                await cluster.kill("b")
                await eventually(lambda: len(probe(node).members_seen) == 1, 20, "b is evicted")
                Held.gate.set()
                await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)  # the other's commit waits for the token
                Paused.go_on.set()
                assert await asyncio.gather(*held) == [1, 1]
                for name in names:
                    assert await hub.aio.ref(name).call("entries", timeout=10) == {"x": [1]}
                assert Held.begun == 2

    asyncio.run(scenario())


class Lazy(LedgerChild):
    """Has messages in its state that are in its mailbox still."""

    durability = "interval"
    save_every, save_after = 60.0, 1000


def test_a_cold_swap_whose_target_dies_builds_the_children_anew(make_hub: Any) -> None:
    """They were stopped already, with their state in hand: it is committed, and they go on from there."""

    async def scenario() -> None:
        Paused.reached, Paused.go_on = asyncio.Event(), asyncio.Event()
        hub: Hub = make_hub(shards=2, migration=Paused())
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            names = [f"c{n}" for n in range(12)]
            assert (
                await hub.aio.start_children([ChildSpec(n, Lazy if n > "c5" else LedgerChild) for n in names])
            ).status == "ok"
            for name in names:
                await ledger.call("x", name)
            await cluster.start("b")
            await asyncio.wait_for(Paused.reached.wait(), 10)
            for name in names:
                await ledger.cast("x", name)
            await cluster.kill("b")

            async def alone() -> bool:
                return len(await hub.aio.nodes()) == 1

            await eventually(alone, 10, "b is evicted")
            Paused.go_on.set()
            assert await cluster.settled() == {"a": 2}
            for name in names:
                await ledger.call("x", name)
                assert len(cluster.copies(name)) == 1
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())
