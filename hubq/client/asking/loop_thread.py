"""An event loop in a thread of its own, for waiting callers of what only an event loop does: reading feeds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from hubq.client.asking.context import HubContext
from hubq.client.asking.founding import Founding
from hubq.client.asking.loop_driver import LoopDriver
from hubq.client.asking.running_loop import refuse_in_event_loop
from hubq.store.connection import Server

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for threads that wait. It does not keep the process from ending."""

    def __init__(self, context: HubContext, server: Server, founding: Founding | None = None) -> None:
        self.driver = LoopDriver(context, server, founding)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"hubq-feeds-{context.keys.hub_id}", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it to its end, and wait for that. If the wait is interrupted, it is cancelled.

        Raises :class:`~hubq.errors.WaitsInEventLoop` in a thread with an event loop.
        """
        try:
            refuse_in_event_loop()
        except BaseException:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End the thread, and close its connections."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5.0)
        self._loop.close()

    async def _end(self) -> None:
        await self.driver.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
