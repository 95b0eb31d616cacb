"""The app of the parity tests: the hub is as its environment says."""

import asyncio
import os
from typing import Any

from hubq import (
    ColdSwap,
    ConsistentHashing,
    Divergence,
    DynamicQuorum,
    Guided,
    HotSwap,
    Hub,
    MajorityQuorum,
    PubSub,
    StaticQuorum,
)
from hubq.hooks import ChildrenMigrated
from hubq.testing import LedgerChild

QUORUMS = {
    "divergence": Divergence(),
    "static": StaticQuorum(2),
    "dynamic": DynamicQuorum(70, threshold_time=300.0),
    "majority": MajorityQuorum(),
}

hub = Hub(
    os.environ["HUBQ_TEST_HUB"],
    lease=2.0,
    lease_margin=0.5,
    migration=ColdSwap() if os.environ.get("PARITY_SWAP") == "cold" else HotSwap(),
    synchronization=PubSub(sync_interval=0.5),
    distribution=Guided() if os.environ.get("PARITY_GUIDED") else ConsistentHashing(),
    partition_tolerance=QUORUMS[os.environ.get("PARITY_QUORUM", "divergence")],
)


@hub.child
class Counter(LedgerChild):
    """Remembers who it was on, and fails when it is told to."""

    transient = ("broken",)

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0

    async def on_start(self) -> None:
        self.broken = asyncio.Event()

    async def run(self) -> None:
        self.runs += 1
        await self.commit()
        await self.broken.wait()
        raise RuntimeError("told to fail")

    async def break_down(self) -> None:
        self.broken.set()

    async def told(self) -> dict[str, Any]:
        return {"node": self.node_name, "runs": self.runs}


@hub.child
class Plain(LedgerChild):
    """A ledger, and nothing else."""


@hub.hook("children_migrated")
def to_log(data: ChildrenMigrated) -> None:
    """One line for the test to read."""
    import logging

    logging.getLogger("parity").info("migrated %d from %s to %s", len(data.children), data.source, data.target)
