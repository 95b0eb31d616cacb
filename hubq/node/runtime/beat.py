"""The beat of the event loop: a cheap timer. While it comes, the loop turns."""

from __future__ import annotations

import asyncio
import time

#: How often the loop beats, seconds.
EVERY = 0.25


class Beat:
    """``at``: when the loop turned last, monotonic seconds. Any thread may read it."""

    def __init__(self) -> None:
        self.at = time.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat. Once more does no harm."""
        if self._timer is None:
            self._beat()

    def stop(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        self.at = time.monotonic()
        self._timer = asyncio.get_running_loop().call_later(EVERY, self._beat)
