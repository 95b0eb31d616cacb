"""Turns: how many may be at it at the same time, first come first served, with patience."""

from __future__ import annotations

import asyncio

#: Shards of a node that are between two owners at the same time. Their children pause for as long as all of them take, and
#: two at a time are moved no sooner than one after the other (docs/performance.md).
CLOSED_AT_ONCE = 1


class Turns:
    """Whoever waits longer than its patience goes on without a turn: it spaces work out, it protects nothing.

    >>> async def example():
    ...     turns = Turns(1)
    ...     first = await turns.take(1.0)
    ...     second = await turns.take(0.0)
    ...     turns.give()
    ...     return first, second, await turns.take(1.0)
    >>> asyncio.run(example())
    (True, False, True)
    """

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def take(self, patience: float) -> bool:
        """Wait for a turn, at most so many seconds. True: it must be given back."""
        try:
            async with asyncio.timeout(patience):
                return await self._free.acquire()
        except TimeoutError:
            return False

    def give(self) -> None:
        """The next one, please."""
        self._free.release()
