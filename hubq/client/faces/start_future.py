"""The future of a start, for code that waits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from typing import Any

from hubq.client.asking.context import HubContext
from hubq.client.asking.driver import Asker
from hubq.client.asking.forks import renewed_after_fork
from hubq.client.operations import placing
from hubq.client.operations.starts import StartTicket
from hubq.client.results import StartResult


class StartFuture:
    """A start on its way. The child exists already: messages to it may be sent before this is done."""

    def __init__(self, context: HubContext, asker: Asker, ticket: StartTicket, timeout: float, single: bool) -> None:
        self._context = context
        self._asker = asker
        self._ticket = ticket
        self._timeout = timeout
        self._single = single
        self._result: StartResult | None = None
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """In a forked process (:mod:`hubq.client.asking.forks`)."""
        self._lock = threading.Lock()

    def __await__(self) -> Generator[Any, None, StartResult]:
        """``await future``: the same as :meth:`result`, in a thread of its own."""
        return asyncio.to_thread(self.result).__await__()

    def result(self, timeout: float | None = None) -> StartResult:
        """Wait until the children run, at most ``timeout`` seconds (default: the start's own).

        Raises :class:`~hubq.errors.StartFailed` if a single child could not start (for several, see
        ``StartResult.errors``), :class:`~hubq.errors.CallTimeout` if no node took it in time.
        """
        with self._lock:
            if self._result is None:
                wait = self._timeout if timeout is None else timeout
                operation = placing.collect_placed(self._context, self._ticket, wait)
                self._result = self._asker.drive(operation)
        if self._single:
            for error in self._result.errors.values():
                raise error
        return self._result
