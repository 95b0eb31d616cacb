"""Turns: so many may work at the same time, first come first served. Nobody waits longer than its patience."""

from __future__ import annotations

import asyncio

#: Shards of a node, of whatever groups, that may be closed for a move at the same time. Their children pause until all of them have
#: moved, and two at a time take no less time than one after the other (docs/performance.md).
CLOSED_AT_ONCE = 1


class Turns:
    """A wait that is longer than its patience ends without a turn: turns space work out, they protect nothing.

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
        """Give a turn back."""
        self._free.release()
