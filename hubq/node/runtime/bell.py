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

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """There is something to do."""
        self._rung.set()

    async def heard(self, within: float | None = None) -> bool:
        """Wait for a ring, at most ``within`` seconds, and silence the bell. False: there was none."""
        if within is None:
            await self._rung.wait()
        else:
            try:
                async with asyncio.timeout(within):
                    await self._rung.wait()
            except TimeoutError:
                return False
        self._rung.clear()
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
