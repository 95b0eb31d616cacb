"""An app whose hub has groups: counters that tell one another, and jobs."""

import asyncio
import os

from hubq import Child, Hub

hub = Hub(os.environ["HUBQ_TEST_HUB"], groups=4, shards=16, lease=2.0, lease_margin=0.5)


@hub.child
class Counter(Child):
    """Adds up what it is sent, and tells others of it."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    async def add(self, n: int = 1) -> int:
        self.value += n
        self.publish("added", n)
        return self.value

    async def tell(self, others: list[str], n: int) -> None:
        for other in others:
            self.ref(other).cast("add", n)

    async def work(self, n: int, key: str = "") -> None:
        self.enqueue(double, n, key=key or None)

    async def hold(self) -> None:
        await asyncio.Event().wait()

    async def total(self) -> int:
        return self.value


@hub.job
def double(n: int) -> int:
    """Twice as much, and a child of the hub is told."""
    hub.ref("c-0").call("add", n)
    return 2 * n


@hub.job(resumable=True)
async def add_up(ctx: object, numbers: list[int]) -> int:
    return sum(numbers)
