"""One answer for many who ask the same in the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Runs ``work`` for each who asks, and once for all who ask while it is under way for an earlier one. An answer is never
    older than the question: the work begins after it was asked for. What it raises, all of them get.

    >>> async def example():
    ...     runs = []
    ...     async def read():
    ...         runs.append(None)
    ...         await asyncio.sleep(0)
    ...         return len(runs)
    ...     shared = Shared(read)
    ...     return await asyncio.gather(*(shared.ask() for _ in range(100))), await shared.ask()
    >>> answers, later = asyncio.run(example())
    >>> answers == [1] + [2] * 99, later
    (True, 3)
    """

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._alone = asyncio.Lock()
        self._asked = 0
        self._answered = 0  # up to this question
        self._answer: asyncio.Future[T] | None = None

    async def ask(self) -> T:
        """The answer of a run that begins from now on."""
        self._asked += 1
        mine = self._asked
        async with self._alone:
            if self._answer is None or self._answered < mine:
                await self._run()
            assert self._answer is not None
            return self._answer.result()

    async def _run(self) -> None:
        until = self._asked
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            answer.set_result(await self._work())
        except Exception as error:
            answer.set_exception(error)
            answer.exception()  # it is looked at by those who have asked
        self._answer, self._answered = answer, until
