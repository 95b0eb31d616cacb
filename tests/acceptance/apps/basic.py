"""The app of the acceptance tests: one hub, named by HUBQ_TEST_HUB, with a counter."""

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import Any

from hubq import Child, Hub

hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=2.0, lease_margin=0.5)
fewer_shards = Hub(os.environ["HUBQ_TEST_HUB"], shards=8)
not_a_hub = 3


@hub.child
class Counter(Child):
    """Adds up what it is sent."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    async def add(self, n: int = 1) -> int:
        self.value += n
        return self.value

    async def total(self) -> int:
        return self.value

    async def echo(self, *values: object) -> list[object]:
        return list(values)

    async def keep(self, kind: str) -> None:
        """Have a state that JSON cannot say."""
        cycle: list[object] = []
        cycle.append(cycle)
        self.value = {"tuple_keys": {(1, 2): 3}, "cycle": cycle, "not_a_number": float("nan")}[kind]  # type: ignore

    async def fail(self) -> None:
        raise ValueError("it is broken\non two lines")

    async def hold(self) -> None:
        logging.getLogger("basic").info("%s holds on", self.child_id)
        await asyncio.Event().wait()

    async def block(self, until: str) -> None:
        """Hold up the whole event loop until there is such a file."""
        logging.getLogger("basic").info("%s blocks the loop", self.child_id)
        while not Path(until).exists():  # noqa: ASYNC240  (that is the point)
            time.sleep(0.02)  # noqa: ASYNC251

    async def itself(self) -> object:
        return Opaque()


@hub.job(resumable=True)
async def add_up(ctx: Any, numbers: list[int], pause: float = 0.0) -> int:
    await asyncio.sleep(pause)
    return sum(numbers)


class Opaque:
    """Not JSON."""

    def __repr__(self) -> str:
        return "<opaque>"
