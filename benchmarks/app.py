"""The children that are measured."""

from __future__ import annotations

import asyncio
import os

from hubq import Child, Hub

HUB_ID = "HUBQ_BENCH_HUB"
SHARDS = "HUBQ_BENCH_SHARDS"


class Idle(Child):
    """Durable (``durability="commit"``, the default); its method changes nothing."""

    async def touch(self) -> None:
        """Do nothing."""

    async def wait(self, ms: float) -> None:
        """Do nothing, for a while."""
        await asyncio.sleep(ms / 1000)


class Account(Child):
    """About 200 bytes of state, written with every message."""

    def __init__(self) -> None:
        self.n = 0
        self.padding = "x" * 150

    async def add(self, k: int) -> int:
        """Change the state and tell it."""
        self.n += k
        return self.n


def make_hub(hub_id: str, redis: str | None = None, shards: int = 64) -> Hub:
    """A hub that knows both."""
    hub = Hub(hub_id, redis=redis, shards=shards)
    hub.child(Idle)
    hub.child(Account)
    return hub


hub = make_hub(os.environ.get(HUB_ID, "bench"), shards=int(os.environ.get(SHARDS, "64")))
