"""An event loop in which nobody waits for a clock: it jumps to whatever is due next."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Jumping(asyncio.SelectorEventLoop):
    """Its time is ``now``."""

    _ready: Any
    _scheduled: list[asyncio.TimerHandle]
    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Run a scenario on such a loop."""
    with asyncio.Runner(loop_factory=Jumping) as runner:
        runner.run(scenario)
