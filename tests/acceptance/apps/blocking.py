"""Children that block the event loop of their worker."""

from __future__ import annotations

import itertools
import os
import time

from hubq import Child, Hub

hub = Hub(
    os.environ["HUBQ_TEST_HUB"], lease=1.0, lease_margin=0.2, heartbeat=0.1,
    stall_limit=float(os.environ.get("HUBQ_TEST_STALL", "60")),
)  # fmt: skip


@hub.child
class Blocker(Child):
    def __init__(self) -> None:
        self.done = 0

    async def sleeps(self, seconds: float) -> int:
        time.sleep(seconds)  # noqa: ASYNC251  (it must not, and that is the point)
        self.done += 1
        return self.done

    async def holds_the_interpreter(self, seconds: float) -> int:
        """One call in C that works for longer than that, and lets no other thread run."""
        began = time.perf_counter()
        sum(itertools.repeat(1, 5_000_000))
        each = (time.perf_counter() - began) / 5_000_000
        sum(itertools.repeat(1, int(1.2 * seconds / each)))
        self.done += 1
        return self.done

    async def where(self) -> str:
        return self.node_name
