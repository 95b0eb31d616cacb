"""Turns: so many may work at the same time, first come first served. Nobody waits long for one that is slow."""

from __future__ import annotations

import asyncio

#: Shards of a node, of whatever groups, that may have a turn at the same time: closed for a move, and not yet nearly there. More at a time
#: move no more children per second, and make the pauses longer (docs/performance.md).
CLOSED_AT_ONCE = 1
#: One whose token has passed keeps its turn for this part of what the last one took until it was confirmed. So the next one is on its way
#: when the target is done with this one, and not before (docs/adr/0032-the-next-shard-sets-out.md).
PART = 0.5
#: What a shard takes without any child is as much as so many children take (docs/adr/0032-the-next-shard-sets-out.md).
EMPTY = 150


class Turns:
    """A wait ends without a turn if none is given back for so long. Turns space work out, they protect nothing.

    >>> async def example():
    ...     turns = Turns(1)
    ...     first = await turns.take(1.0, 1.0)
    ...     second = await turns.take(0.0, 1.0)
    ...     turns.give()
    ...     return first, second, await turns.take(1.0, 1.0)
    >>> asyncio.run(example())
    (True, False, True)
    """

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._took: float | None = None  # the last one, seconds for each child
        self._waiting: dict[asyncio.Timeout, tuple[float, float]] = {}

    async def take(self, patience: float, most: float) -> bool:
        """Wait for a turn. True: it must be given back. False: none was given back for ``patience`` seconds, or none was free in ``most``
        seconds.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        try:
            async with asyncio.timeout(min(patience, most)) as wait:
                self._waiting[wait] = patience, now + most
                try:
                    return await self._free.acquire()
                finally:
                    del self._waiting[wait]
        except TimeoutError:
            return False

    async def nearly(self, done: asyncio.Future[None], children: int) -> None:
        """The rest of what a turn is for is done elsewhere, for so many children. Wait until it is done, or half of the time is over
        that it takes by the measure of the last one.
        """
        if done.done():
            return  # it tells nothing of the time that it takes
        loop = asyncio.get_running_loop()
        began, size = loop.time(), EMPTY + children

        def took(done: asyncio.Future[None]) -> None:
            if not done.cancelled():
                self._took = (loop.time() - began) / size

        done.add_done_callback(took)
        await asyncio.wait([done], timeout=None if self._took is None else PART * self._took * size)

    def give(self) -> None:
        """Give a turn back."""
        self._free.release()
        if self._waiting:
            now = asyncio.get_running_loop().time()
            for wait, (patience, until) in self._waiting.items():
                if not wait.expired():
                    wait.reschedule(min(now + patience, until))
