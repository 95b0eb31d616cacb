"""Migration strategies of one's own that do odd things."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq import Hub
from hubq.strategies.migration import HotSwap
from hubq.strategies.migration.protocol import Handover
from hubq.testing import Cluster, Ledger, LedgerChild, Load, start_children


class Late:
    """A strategy that knows its ``retention`` only when it has been told the hub."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def init(self, hub_id: str) -> None:
        self.seen.append("init")

    @property
    def retention(self) -> float:
        self.seen.append("retention")
        return 7.0

    async def handle_migration(self, handover: Handover) -> None:
        await HotSwap().handle_migration(handover)

    async def handle_shutdown(self, handover: Handover) -> None:
        await HotSwap().handle_shutdown(handover)

    def handle_process_startups(self, target_timeout: float) -> float:
        return target_timeout


def test_a_strategy_is_asked_what_it_says_of_itself_when_it_has_been_told_the_hub(make_hub: Any) -> None:
    async def scenario() -> None:
        strategy = Late()
        async with Cluster(make_hub(shards=1, migration=strategy)) as cluster:
            strategy.seen.clear()
            await cluster.start("a")
            assert strategy.seen[0] == "init" and "retention" in strategy.seen

    asyncio.run(scenario())


class Odd(Late):
    """Its first handover raises the CancelledError of a task of its own, with the intake closed."""

    raised = 0

    async def handle_migration(self, handover: Handover) -> None:
        if not self.raised:
            self.raised += 1
            await handover.close_intake(0.0)
            raise asyncio.CancelledError
        await super().handle_migration(handover)


def test_a_shard_goes_on_and_moves_later_if_a_strategy_raises_cancelled_error(make_hub: Any) -> None:
    async def scenario() -> None:
        strategy = Odd()
        hub: Hub = make_hub(shards=4, migration=strategy)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            load = Load(ledger, await start_children(hub, LedgerChild, 20))
            await load.reached(50)
            await cluster.start("b")
            assert await cluster.settled() == {"a": 2, "b": 2} and strategy.raised == 1
            await load.reached(load.count + 50)
            await load.end()
            assert ledger.failed == []
            await ledger.check()

    asyncio.run(scenario())
