"""Children with copies, for tests/parity/test_redundancy.py: what each copy holds and is told goes to a list in Redis."""

import os
from typing import Any

import redis

from hubq import ColdSwap, HotSwap, Hub, Replication
from hubq.testing import LedgerChild

FACTOR = os.environ.get("HUBQ_TEST_FACTOR", "2")
hub = Hub(
    os.environ["HUBQ_TEST_HUB"],
    lease=2.0,
    lease_margin=0.5,
    migration=ColdSwap() if os.environ.get("HUBQ_TEST_SWAP") == "cold" else HotSwap(),
    redundancy=Replication(
        "cluster_size" if FACTOR == "cluster_size" else int(FACTOR),
        "active_passive" if os.environ.get("HUBQ_TEST_MODEL") == "active_passive" else "active_active",
        "all",
    ),
)
notes = redis.Redis.from_url(os.environ["HUBQ_REDIS_URL"], decode_responses=True)


@hub.child
class Noted(LedgerChild):
    """Writes down, for each copy, the messages it handles and the modes it is told."""

    def note(self, *words: Any) -> None:
        notes.rpush(f"notes:{hub.hub_id}", " ".join(map(str, (self.child_id, self.node_name, *words))))

    async def record(self, sender: str, number: int) -> int:
        self.note("handled", sender, number)
        return await super().record(sender, number)

    async def tell(self) -> None:
        """Every copy that handles this writes its full state down."""
        self.note("state", sorted((sender, tuple(numbers)) for sender, numbers in self.applied.items()))

    async def on_redundancy_signal(self, mode: str) -> None:
        self.note("mode", mode)
