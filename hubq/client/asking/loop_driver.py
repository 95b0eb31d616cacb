"""The driver for code that awaits: a session for each event loop, and connections that groups share.

A session ends with its loop, also if nobody closes it: a web app may have a loop for each request (an ``async`` view of Flask has).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from hubq.client.asking.async_session import AsyncSession
from hubq.client.asking.context import HubContext
from hubq.client.asking.founding import Founding
from hubq.client.asking.steps import Operation
from hubq.store.connection import ANSWER_TIMEOUT, AsyncRedis, Server
from hubq.store.lanes import Lanes
from hubq.store.membership import check_config, read_config

T = TypeVar("T")

#: What is left to do for a session whose loop ends may take so long, seconds.
CLOSING = 1.0

#: The process in which a session was opened, the session, and what closes it.
Opened = tuple[int, AsyncSession, AsyncGenerator[None, None]]


class LoopLanes:
    """The connections of each event loop to one plain primary. The groups there share them: what is sent to several in one moment is one
    write.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lanes: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, int], Lanes] = WeakValueDictionary()

    def here(self) -> Lanes:
        """Those of this event loop, in this process. They live as long as somebody has them."""
        place = asyncio.get_running_loop(), os.getpid()
        lanes = self._lanes.get(place)
        if lanes is None:
            lanes = self._lanes[place] = Lanes(self._server, ANSWER_TIMEOUT)
        return lanes


class LoopDriver:
    """Runs operations by awaiting (an :class:`~hubq.client.asking.driver.AsyncDriver`). Connects at the first of them.

    ``shared``: connections that it shares with other groups.
    """

    def __init__(
        self, context: HubContext, server: Server, founding: Founding | None = None, shared: LoopLanes | None = None
    ) -> None:
        self.context = context
        self.server = server
        self._founding = founding
        self._shared = shared
        self._sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, Opened] = WeakKeyDictionary()
        self._opening: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[Opened]] = WeakKeyDictionary()

    def drive(self, operation: Operation[T]) -> Coroutine[Any, Any, T]:
        """Run an operation to its end. (Not ``async``: the caller awaits the coroutine of the session itself.)"""
        session = self.here()
        return session.drive(operation) if session is not None else self._drive_first(operation)

    async def asker(self) -> AsyncSession:
        """The session of this event loop."""
        return self.here() or await self._new_session()

    async def _drive_first(self, operation: Operation[T]) -> T:
        session = await self._new_session()
        return await session.drive(operation)

    def here(self) -> AsyncSession | None:
        """The session of this event loop, if it is open."""
        known = self._sessions.get(asyncio.get_running_loop())
        return known[1] if known is not None and known[0] == os.getpid() else None

    async def _new_session(self) -> AsyncSession:
        loop = asyncio.get_running_loop()
        for reference in self._sessions.keyrefs():
            other = reference()
            if other is not None and other.is_closed():
                self._sessions.pop(
                    other, None
                )  # it was not ended, only closed. (A session would keep its loop, and stay for ever.)
        # Several tasks may be the first at the same time: one of them opens it, and none uses it before it is known to be
        # good. (Each would have a sender id of its own, and wait for the answers to another one's numbers.)
        opening = self._opening.get(loop)
        if opening is None:
            opening = self._opening[loop] = loop.create_task(self._open())
            opening.add_done_callback(lambda task: self._opened(loop, task))
        return (await asyncio.shield(opening))[1]

    def _opened(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Opened]) -> None:
        if self._opening.get(loop) is task:
            del self._opening[loop]
        if not task.cancelled() and task.exception() is None:
            self._sessions[loop] = task.result()

    async def _open(self) -> Opened:
        shared, context = self._shared, self.context
        redis = AsyncRedis(self.server, lanes=None if shared is None else shared.here())
        try:
            fixed = await redis.run(read_config(context.keys))
            if fixed is None:
                if self._founding is not None:
                    await self._founding.check_async()
                fixed = await redis.run(check_config(context.keys, context.config.shards, context.wire))
            context.check(fixed, self.server.address)
        except BaseException:
            await redis.close()
            raise
        session, loop = AsyncSession(context, redis), asyncio.get_running_loop()

        async def close() -> None:
            if self._sessions.pop(loop, None) is not None:  # else it is closed
                with suppress(TimeoutError):
                    async with asyncio.timeout(CLOSING):
                        await session.close()

        return os.getpid(), session, await at_loop_end(close)

    def of(self, child_id: str) -> LoopDriver:
        """The driver for one child."""
        return self

    def connect_to(self, server: Server, founding: Founding | None = None, shared: LoopLanes | None = None) -> None:
        """Ask another Redis in sessions that are opened from now on."""
        self.server, self._founding, self._shared = server, founding, shared

    async def close(self) -> None:
        """Close this event loop's session."""
        opening = self._opening.pop(asyncio.get_running_loop(), None)
        if opening is not None:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        known = self._sessions.pop(asyncio.get_running_loop(), None)
        if known is not None and known[0] == os.getpid():
            await known[1].close()
            await known[2].aclose()


async def at_loop_end(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None, None]:
    """Call ``close`` when this event loop ends, or earlier by ``aclose()``; not in a fork, where what is open is of the parent.

    A loop that ends closes the asynchronous generators that were begun in it, while it still turns (``asyncio.run``, ``asyncio.Runner``,
    asgiref). So what is to be done then is the end of one.

    >>> import asyncio
    >>> async def close() -> None:
    ...     print("closed")
    >>> async def main() -> None:
    ...     global kept
    ...     kept = await at_loop_end(close)
    ...     print("ends")
    >>> asyncio.run(main())
    ends
    closed
    """
    guard = _guard(close, os.getpid())
    await anext(guard)
    return guard


async def _guard(close: Callable[[], Awaitable[None]], process: int) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        if os.getpid() == process:
            await close()
