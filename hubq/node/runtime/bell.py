"""A bell: a mark that one loop waits for, or several. A part that has news rings it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Bell:
    """Rung from below, heard by one loop above. Rings that the loop has not heard yet are one ring.

    >>> async def example():
    ...     bell = Bell()
    ...     bell.ring(); bell.ring()
    ...     return await bell.heard(within=1.0), await bell.heard(within=0.0)
    >>> asyncio.run(example())
    (True, False)
    """

    # (An asyncio.Event, which may have many that wait, costs several times as much, and the committer hears a bell for each call.)

    def __init__(self) -> None:
        self._rung = False
        self._waits: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """There is something to do."""
        self._rung = True
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(None)

    async def heard(self, within: float | None = None) -> bool:
        """Wait for a ring, at most ``within`` seconds, and silence the bell. False: there was none."""
        if not self._rung:
            waits = self._waits = asyncio.get_running_loop().create_future()
            if within is None:
                await waits
            else:
                try:
                    async with asyncio.timeout(within):
                        await waits
                except TimeoutError:
                    return False
        self._rung = False
        return True


class News:
    """A bell for several: a ring ends all waits that have begun, and none that begins later."""

    def __init__(self) -> None:
        self._next = asyncio.Event()
        self.rings = 0
        """How often it was rung: who was busy sees that there was news meanwhile."""

    def ring(self) -> None:
        """Something has changed."""
        self.rings += 1
        self._next.set()
        self._next = asyncio.Event()

    def heard(self) -> Coroutine[Any, Any, object]:
        """Wait for the next ring from this call on (not from the first step of the task that waits)."""
        return self._next.wait()
