"""Long work on the event loop, in pieces: whatever a node builds, collects or ends, everything else has its turn in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

#: A turn of the loop has so much time for long work, seconds. (A single ``__init__`` may take longer.)
PIECE = 0.002
#: How many of those that wait are tried in one turn of the loop. If the first one takes the whole piece, the others wait on.
AT_ONCE = 16


class Pieces:
    """The long work of one node. Each part that has many things to do asks for its turn before each of them. So in one turn
    of the loop all parts together work for one piece, and for one thing at least. ``now``: monotonic seconds.

    >>> async def example():
    ...     clock = iter([0.0, 0.001, 0.0035, 0.0035])
    ...     pieces = Pieces(lambda: next(clock))
    ...     other = asyncio.ensure_future(asyncio.sleep(0, "the loop has turned"))
    ...     seen = []
    ...     for _ in range(3):
    ...         await pieces.turn()
    ...         seen.append(other.done())
    ...     return seen
    >>> asyncio.run(example())  # the third thing came after the end of the piece
    [False, False, True]
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._until: float | None = None  # the end of the piece of this turn of the loop; None: nobody has begun
        self._due = False  # the next turn of the loop has been asked for
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []  # a heap: first come, first served
        self._tickets = count()

    async def turn(self) -> None:
        """Go on at once while this turn of the loop has time for long work, else in a later one."""
        if self.at_once():
            return
        ticket = next(self._tickets)
        while True:
            waits: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (ticket, waits))
            self._ask()
            await waits
            if self._has_time():
                return

    def at_once(self) -> bool:
        """Whether one thing more may be done in this turn of the loop. False: await :meth:`turn`.

        For long loops of short steps: a coroutine for each of them would cost as much as the step.
        """
        return not self._waiting and self._has_time()

    def _has_time(self) -> bool:
        if self._until is not None:
            return self._now() < self._until
        # The piece begins with its first work: others may have had the loop for longer than a piece before.
        self._until = self._now() + PIECE
        self._ask()
        return True

    def _ask(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """The loop has turned: another piece may begin. Those that wait go on after this callback."""
        self._due = False
        self._until = None
        woken = 0
        while self._waiting and woken < AT_ONCE:
            _, waits = heappop(self._waiting)
            if not waits.done():  # else it was cancelled
                waits.set_result(None)
                woken += 1
        if woken:
            self._ask()
