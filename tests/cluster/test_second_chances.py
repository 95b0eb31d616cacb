"""What goes wrong half way and is made good: a failed adoption, a cold swap whose target dies, a drain out of time."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from hubq import ChildSpec, ColdSwap, Hub
from hubq.core.hashing import shard_of
from hubq.store.connection import AsyncRedis
from hubq.store.mailbox import mailbox_length
from hubq.strategies.migration.protocol import Handover
from hubq.testing import Cluster, Ledger, LedgerChild, Load, eventually, interfere, probe, start_children


@pytest.mark.parametrize("step", ["reading", "starting"])
@pytest.mark.parametrize("how", ["handed over", "claimed"])
def test_a_failed_adoption_is_tried_again(make_hub: Any, how: str, step: str) -> None:
    """The token is here, and what comes with it cannot be served: the next look at the plan tries again."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=4)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            load = Load(ledger, await start_children(hub, LedgerChild, 20))
            await load.reached(50)
            b = await cluster.start("b")
            with interfere.first_adoption_of_each_shard_fails(b, step) as failed:
                assert await cluster.settled() == {"a": 2, "b": 2}
                assert len(failed) == 2
                if how == "claimed":
                    failed.clear()
                    await cluster.kill("a")
                    assert await cluster.settled() == {"b": 4}
                    assert len(failed) == 2, "both shards of the dead node failed once"
                await load.reached(load.count + 50)
                await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


class PausedColdSwap(ColdSwap):
    """Stops the children, and waits before it passes the token."""

    stopped: ClassVar[asyncio.Event]
    go_on: ClassVar[asyncio.Event]

    async def handle_migration(self, handover: Handover) -> None:
        await handover.close_intake(self.straggler_grace)
        await handover.collect_states(self.handover_data_wait, True)
        await handover.stop_children()
        PausedColdSwap.stopped.set()
        await PausedColdSwap.go_on.wait()
        if await handover.pass_token():
            handover.follow(self.retention)
            await handover.dispose()


class Lazy(LedgerChild):
    """Has messages in its state that are in its mailbox still."""

    durability = "interval"
    save_every, save_after = 60.0, 1000


def test_a_cold_swap_whose_target_dies_builds_the_children_anew(make_hub: Any) -> None:
    """They were stopped already, with their state in hand: it is committed, and they go on from there."""

    async def scenario() -> None:
        PausedColdSwap.stopped, PausedColdSwap.go_on = asyncio.Event(), asyncio.Event()
        hub: Hub = make_hub(shards=2, migration=PausedColdSwap())
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
            await asyncio.wait_for(PausedColdSwap.stopped.wait(), 10)
            for name in names:
                await ledger.cast("x", name)
            await cluster.kill("b")
            await eventually(lambda: len(hub.nodes()) == 1, 10, "b is evicted")
            PausedColdSwap.go_on.set()
            assert await cluster.settled() == {"a": 2}
            for name in names:
                await ledger.call("x", name)
                assert len(cluster.copies(name)) == 1
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())


class Stuck(LedgerChild):
    """Never ends its message."""

    async def hold(self) -> None:
        await asyncio.Event().wait()


def test_a_node_that_runs_out_of_time_commits_what_it_has_done(make_hub: Any) -> None:
    """Its last act: what is finished is committed, what is not is left in the mailbox."""

    async def scenario() -> None:
        hub: Hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await hub.aio.start_children([ChildSpec("quick", LedgerChild), ChildSpec("stuck", Stuck)])
            await hub.aio.ref("stuck").cast("hold")
            await eventually(lambda: bool(probe(node).busy))
            await interfere.commit_only_at_the_end(node)
            await hub.aio.ref("quick").cast("record", "x", 1)
            await eventually(lambda: bool(probe(node).uncommitted), what="it is handled")
            assert not await cluster.drain("a", timeout=0.3)
            redis = AsyncRedis(hub.server)
            assert await redis.run(mailbox_length(hub.keys, shard_of("quick", 1))) == 1, "the one that never ends"
            await redis.close()
            await cluster.start("b")
            assert await hub.aio.ref("quick").call("entries", timeout=10) == {"x": [1]}

    asyncio.run(scenario())
