"""Database connections around handlers and jobs: those that are too old, or broken, are closed, as Django does with requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connections

from hubq.core.middleware import Work

#: How often the connections of Django's async ORM are looked at, seconds. They are in one thread for all handlers.
EVERY = 5.0


class Connections:
    """Middleware of a hub."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._due = 0.0
        self._looking: set[asyncio.Task[None]] = set()

    def __call__(self, work: Work) -> AbstractContextManager[None]:
        """Around a piece of work: in a thread, or in the event loop."""
        return _InLoop(self) if _in_event_loop() else _InThread()

    def look(self) -> None:
        """Have the connections of the async ORM looked at, in their thread. Nobody waits for it."""
        if self._now() < self._due:
            return
        self._due = self._now() + EVERY
        task = asyncio.ensure_future(sync_to_async(close_old_connections)())
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)


class _InThread(AbstractContextManager[None]):
    def __enter__(self) -> None:
        _close_old()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _close_old()


class _InLoop(AbstractContextManager[None]):
    def __init__(self, owner: Connections) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        self._owner.look()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def _close_old() -> None:
    # (Within a transaction, as in tests, Django would break it.)
    if not any(connection.in_atomic_block for connection in connections.all(initialized_only=True)):
        close_old_connections()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
