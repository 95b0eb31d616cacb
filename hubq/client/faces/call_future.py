"""Calls that were begun: their results are awaited later, or they are cancelled."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar

from hubq.client.asking.driver import AsyncChildDriver, AsyncSender, ChildDriver, Sender
from hubq.client.asking.forks import renewed_after_fork
from hubq.client.asking.steps import Operation
from hubq.client.operations import calls
from hubq.client.operations.calls import Begun
from hubq.errors import CallTimeout, HubqError

R = TypeVar("R")


class CallFuture(Generic[R]):
    """A call on its way: what ``ref.begin`` returns. Safe under threads."""

    def __init__(self, driver: ChildDriver, asker: Sender, begun: Begun) -> None:
        self._driver = driver
        self._asker = asker
        self._begun = begun
        self._until = time.monotonic() + begun.options.timeout
        self._ended: tuple[Any, HubqError | None] | None = None
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """In a forked process (:mod:`hubq.client.asking.forks`)."""
        self._lock = threading.Lock()

    @property
    def done(self) -> bool:
        """Whether the result, or the error, is here already."""
        return self._ended is not None

    def result(self, timeout: float | None = None) -> R:
        """Wait for the result, at most ``timeout`` seconds (None: for what is left of the call's own time-out).

        Raises what the call raises, :class:`~hubq.errors.Cancelled`, and :class:`~hubq.errors.CallTimeout`. If only this wait was
        too short, it may be asked for again.
        """
        with self._lock:
            if self._ended is None:
                left = max(0.0, self._until - time.monotonic())
                if timeout is not None and timeout < left:
                    early = self._asker.drive(calls.arrived(self._begun, timeout))
                    if early is None:
                        raise CallTimeout(f"{self._begun.what} has not answered within {timeout:g} s: ask again")
                    self._keep(
                        partial(
                            calls.answer_of,
                            self._driver.context,
                            *early,
                            what=self._begun.what,
                            known=self._begun.known,
                        )
                    )
                else:
                    waiting = calls.outcome(self._driver.context, self._begun, left)
                    self._keep(partial(self._asker.drive, waiting))
            assert self._ended is not None
            value, error = self._ended
        if error is not None:
            raise error
        found: R = value
        return found

    def _keep(self, find: Callable[[], Any]) -> None:
        try:
            self._ended = find(), None
        except HubqError as error:
            self._ended = None, error

    def cancel(self, timeout: float = 5.0) -> bool:
        """Cancel the call. True: nothing of it was applied, and :meth:`result` raises :class:`~hubq.errors.Cancelled`. False: it was
        done already, and :meth:`result` has what came of it. Waits at most ``timeout`` seconds to know.

        Raises :class:`~hubq.errors.NotCancelled`: it is a plain ``def``, or its node has not answered; then it may go on.
        """
        if self._ended is not None:
            return False
        driver, caller = self._driver, self._asker.sender
        driver.asker()  # (it is refused in an event loop, as all that waits is)
        # In a thread of its own, which is a sender of its own: that of the call may wait for the result meanwhile.
        with ThreadPoolExecutor(1, "hubq-cancel") as apart:
            return apart.submit(
                lambda: driver.drive(calls.cancel(driver.context, self._begun, caller, timeout))
            ).result()

    def __repr__(self) -> str:
        return f"<CallFuture {self._begun.what}>"


class AsyncCallFuture(Generic[R]):
    """The same as :class:`CallFuture`, awaited: ``await future``. It belongs to the event loop in which it was begun."""

    def __init__(self, driver: AsyncChildDriver, begin: Operation[Begun], timeout: float) -> None:
        loop = asyncio.get_running_loop()
        self._driver = driver
        self._sent: asyncio.Future[tuple[Begun, AsyncSender]] = loop.create_future()
        self._task = loop.create_task(self._work(begin, timeout))

    async def _work(self, begin: Operation[Begun], timeout: float) -> Any:
        try:
            asker = await self._driver.asker()
            begun = await asker.drive(begin)
        except BaseException:
            self._sent.cancel()  # (the task itself tells why)
            raise
        self._sent.set_result((begun, asker))
        return await asker.drive(calls.outcome(self._driver.context, begun, timeout))

    @property
    def done(self) -> bool:
        """Whether the result, or the error, is here already."""
        return self._task.done()

    def __await__(self) -> Generator[Any, None, R]:
        """The result. Raises what the call raises, and :class:`~hubq.errors.Cancelled`."""
        return asyncio.shield(self._task).__await__()

    async def cancel(self, timeout: float = 5.0) -> bool:
        """See :meth:`CallFuture.cancel`."""
        await asyncio.wait([self._sent])
        if self._task.done() or self._sent.cancelled():
            return False
        begun, asker = self._sent.result()
        cancelled = await self._driver.drive(calls.cancel(self._driver.context, begun, asker.sender, timeout))
        if cancelled:
            self._task.add_done_callback(_heard)
        return cancelled

    def __repr__(self) -> str:
        what = (
            "on its way"
            if not self._sent.done()
            else "not sent"
            if self._sent.cancelled()
            else self._sent.result()[0].what
        )
        return f"<AsyncCallFuture {what}>"


def _heard(task: asyncio.Task[Any]) -> None:
    """Nobody has to ask for the result of a call that was cancelled."""
    if not task.cancelled():
        task.exception()
