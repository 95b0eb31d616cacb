"""Messages that wait for another try: when the wait is over, their children go on."""

from __future__ import annotations

import asyncio

from hubq.node.children.pumps import Pumps
from hubq.node.children.retries import Waiting
from hubq.node.runtime.loop import Loop


class Retrying(Loop):
    """Has a timer for each child in ``waiting``. A child that has moved or ended meanwhile is not served here: nothing happens."""

    def __init__(self, pumps: Pumps, waiting: asyncio.Queue[Waiting]) -> None:
        super().__init__("waiting for another try")
        self._pumps = pumps
        self._waiting = waiting
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._begun = 0

    async def stop(self) -> None:
        """Wait no more: the next owner tries the messages again."""
        await super().stop()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    async def _turn(self) -> None:
        waits = await self._waiting.get()
        self._begun += 1
        timer = asyncio.get_running_loop().call_later(waits.seconds, self._over, self._begun, waits)
        self._timers[self._begun] = timer

    def _over(self, number: int, waits: Waiting) -> None:
        del self._timers[number]
        waits.hosted.waited(waits.another_try)
        self._pumps.resume(waits.hosted)
