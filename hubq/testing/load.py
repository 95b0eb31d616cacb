"""Constant traffic for tests: calls and casts that a ledger writes down."""

from __future__ import annotations

import asyncio

from hubq.client.hub import Hub
from hubq.core.child import Child
from hubq.core.spec import ChildSpec
from hubq.testing.ledger import Ledger
from hubq.testing.waiting import eventually


class Load:
    """Constant calls and casts from several senders until it is ended."""

    def __init__(self, ledger: Ledger, children: list[str], senders: int = 8) -> None:
        self.ledger = ledger
        self.slowest = 0.0
        self.count = 0
        self._stop = False
        self._tasks = [asyncio.ensure_future(self._send(f"s{n}", children[n::senders])) for n in range(senders)]

    async def _send(self, sender: str, children: list[str]) -> None:
        loop = asyncio.get_running_loop()
        turn = 0
        while not self._stop:
            child = children[turn % len(children)]
            began = loop.time()
            if turn % 3 == 2:
                await self.ledger.cast(sender, child)
            else:
                await self.ledger.call(sender, child)
            self.slowest = max(self.slowest, loop.time() - began)
            self.count += 1
            turn += 1

    async def reached(self, count: int) -> None:
        """Wait until this many messages have been answered."""
        await eventually(lambda: self.count >= count, 30.0, f"{count} messages")

    async def end(self) -> None:
        """Send no more."""
        self._stop = True
        await asyncio.gather(*self._tasks)


async def start_children(hub: Hub, kind: type[Child], count: int) -> list[str]:
    """Start ``child-0``, ``child-1``, ...; their names."""
    names = [f"child-{n}" for n in range(count)]
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names], timeout=30)
    assert result.status == "ok" and len(result.started) == count
    return names
