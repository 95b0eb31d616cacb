"""What several pages ask for at the same time is asked once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

#: Answers that are kept at most.
MOST = 500


class Shared(Generic[K, T]):
    """The answers to questions, each kept for some seconds. Whoever asks while the answer is sought waits for it.

    ``clock`` tells seconds. An error is not kept.
    """

    def __init__(self, kept_for: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept_for = kept_for
        self._clock = clock
        self._kept: dict[K, tuple[float, T]] = {}
        self._sought: dict[K, asyncio.Task[T]] = {}

    async def get(self, key: K, ask: Callable[[], Awaitable[T]], *, fresh: bool = False) -> tuple[float, T]:
        """How old the answer is, seconds, and the answer. ``fresh``: one that is sought from now on."""
        kept = self._kept.get(key)
        if kept is not None and not fresh and self._clock() - kept[0] < self._kept_for:
            return self._clock() - kept[0], kept[1]
        task = self._sought.get(key)
        if task is None:
            task = self._sought[key] = asyncio.get_running_loop().create_task(self._seek(key, ask))
            task.add_done_callback(_looked_at)
        return 0.0, await asyncio.shield(task)

    async def _seek(self, key: K, ask: Callable[[], Awaitable[T]]) -> T:
        try:
            answer = await ask()
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[key] = self._clock(), answer
            return answer
        finally:
            del self._sought[key]


def _looked_at(task: asyncio.Task[T]) -> None:
    """Whoever asked may have gone meanwhile: then nobody else looks at the error."""
    if not task.cancelled():
        task.exception()
