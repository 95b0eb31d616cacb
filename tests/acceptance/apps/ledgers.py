"""Children that keep a ledger in their state, for the acceptance tests of migration."""

import asyncio
import os

from hubq import HotSwap, Hub
from hubq.testing import LedgerChild

hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=2.0, lease_margin=0.5, migration=HotSwap(retention=30.0))
hub.child(LedgerChild)


@hub.child
class Busy(LedgerChild):
    """May be busy for long, and needs 20 ms to stop."""

    async def work(self, seconds: float, sender: str, number: int) -> str:
        await asyncio.sleep(seconds)
        await self.record(sender, number)
        return self.node_name

    async def on_stop(self, reason: str) -> None:
        await asyncio.sleep(0.02)
