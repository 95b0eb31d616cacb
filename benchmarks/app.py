"""The children that are measured."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence

from hubq import Child, Hub

HUB_ID = "HUBQ_BENCH_HUB"
SHARDS = "HUBQ_BENCH_SHARDS"
LEASE = "HUBQ_BENCH_LEASE"
GROUPS = "HUBQ_BENCH_GROUPS"


class Idle(Child):
    """Durable (``durability="commit"``, the default); its method changes nothing."""

    async def touch(self) -> None:
        """Do nothing."""

    async def wait(self, ms: float) -> None:
        """Do nothing, for a while."""
        await asyncio.sleep(ms / 1000)


class Account(Child):
    """About 200 bytes of state (or as many as asked for), written with every message."""

    def __init__(self, size: int = 200) -> None:
        self.n = 0
        self.padding = "x" * (size - 50)

    async def add(self, k: int) -> int:
        """Change the state and tell it."""
        self.n += k
        return self.n

    async def touch(self) -> None:
        """Change the state."""
        self.n += 1


class IntervalAccount(Account):
    """The same, saved every 1,000 messages or 5 seconds."""

    durability = "interval"


class HandoverAccount(Account):
    """The same, saved when it moves."""

    durability = "handover"


class Relay(Child):
    """Says one cast to another child, as an effect of each message."""

    async def pass_on(self, child: str) -> None:
        """Have that child do nothing."""
        self.ref(child).cast("touch")


class Teller(Child):
    """Publishes its number and the time."""

    feed_kept = 10_000

    def __init__(self) -> None:
        self.n = 0

    async def tell(self) -> None:
        """Publish an event."""
        self.n += 1
        self.publish("tick", (self.n, time.time()))


class Minder(Child):
    """Sets reminders, and keeps how late each was handled, seconds."""

    def __init__(self) -> None:
        self.late: list[float] = []

    async def remind_at(self, first: int, times: list[float]) -> None:
        """Set a reminder for each of these times."""
        for number, at in enumerate(times, first):
            self.remind(f"r{number}", at, at=at, call=Minder.ring)

    async def ring(self, due: float) -> None:
        """One of them is due."""
        self.late.append(time.time() - due)

    async def take_late(self) -> list[float]:
        """Of each that was handled, how late that was; they are forgotten."""
        late, self.late = self.late, []
        return late


KINDS: dict[str, type[Child]] = {
    kind.__name__: kind for kind in (Idle, Account, IntervalAccount, HandoverAccount, Relay, Teller, Minder)
}


def make_hub(
    hub_id: str, redis: str | Sequence[str] | None = None, shards: int = 64, lease: float = 5.0, groups: int = 1
) -> Hub:
    """A hub that knows all of them."""
    hub = Hub(hub_id, redis=redis, shards=shards, lease=lease, groups=groups)
    for kind in KINDS.values():
        hub.child(kind)
    return hub


hub = make_hub(
    os.environ.get(HUB_ID, "bench"),
    shards=int(os.environ.get(SHARDS, "64")),
    lease=float(os.environ.get(LEASE, "5")),
    groups=int(os.environ.get(GROUPS, "1")),
)
