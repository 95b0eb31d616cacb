"""Parts that work by themselves: one contract to start and stop them, and one loop that outlives the errors of its turns."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod

from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.runtime.tasks import end_tasks
from hubq.store.connection import LOST

log = logging.getLogger("hubq.node")


class Work(ABC):
    """A part that has one task, from ``start`` to ``stop``. Either may be called twice, or without the other; after a ``stop``
    it may be started again.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """End for certain: nothing of the work goes on when this returns."""
        await end_tasks([self._task])
        self._task = None

    @abstractmethod
    async def _work(self) -> None:
        """What the task does. It is cancelled by ``stop``."""


class Loop(Work):
    """Takes one turn after the other. A turn waits for its work and does it; what it raises is logged under ``what``, and the
    next turn follows.

    ``away``: seconds until the next turn if Redis was away; ``failed``: the same after any other error. (0 for loops whose
    turns wait for something of their own before they ask Redis again.)

    >>> class Counting(Loop):
    ...     def __init__(self):
    ...         super().__init__("counting")
    ...         self.turns = 0
    ...     async def _turn(self):
    ...         self.turns += 1
    ...         await asyncio.sleep(0)
    >>> async def example():
    ...     counting = Counting()
    ...     counting.start()
    ...     while counting.turns < 3:
    ...         await asyncio.sleep(0)
    ...     await counting.stop()
    >>> asyncio.run(example())
    """

    def __init__(self, what: str, *, away: float = 0.0, failed: float = 0.0) -> None:
        super().__init__()
        self._what = what
        self._away = away
        self._failed = failed

    @abstractmethod
    async def _turn(self) -> None:
        """Wait for something to do, and do it."""

    async def _work(self) -> None:
        said = ""
        while True:
            try:
                await self._turn()
                said = ""
            except RedisRefused as error:  # it does not mend itself: say so, but once
                if said != str(error):
                    log.error("%s is refused: %s", self._what, error)
                said = str(error)
                await asyncio.sleep(self._failed)
            except (*LOST, RedisUnavailable) as error:
                log.debug("%s waits: Redis is away (%s)", self._what, error)
                await asyncio.sleep(self._away)
            except Exception:
                log.exception("%s failed", self._what)
                await asyncio.sleep(self._failed)
