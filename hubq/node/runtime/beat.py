"""The beat of the event loop: a cheap timer. While it comes, the loop turns."""

from __future__ import annotations

import asyncio
import time

#: How often the loop beats, seconds.
EVERY = 0.25


class Beat:
    """``at``: when the loop turned last, monotonic seconds. Any thread may read it. The parts of a node in all groups have one: it beats
    while one of them listens.
    """

    def __init__(self) -> None:
        self.at = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None
        self._listeners: set[int] = set()

    def start(self, group: int) -> None:
        """The part in this group listens. Once more does no harm."""
        self._listeners.add(group)
        self.at = time.monotonic()
        if self._timer is None:
            self._beat()

    def stop(self, group: int) -> None:
        """It does not listen any more. Once more does no harm."""
        self._listeners.discard(group)
        if not self._listeners and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self.at = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(EVERY, self._beat)
