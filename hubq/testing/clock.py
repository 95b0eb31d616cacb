"""A clock that a test can advance: reminders, leases, time-outs and ``asyncio.sleep`` in ``run()`` come when it says so."""

from __future__ import annotations

import asyncio
import datetime
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from types import ModuleType
from typing import Any, TypeVar

from hubq.errors import ConfigError
from hubq.jobs import clock
from hubq.jobs.rq_time import ASKED, NAME
from hubq.testing.patching import replaced

T = TypeVar("T")

#: After each advance so much more time passes, seconds: what is due at its end is done then, too.
A_MOMENT = 0.05
#: How long the clock of a hub (cron, scheduled jobs) rests at most within an advance, seconds. It looks at each end, too.
LONGEST_REST = 30.0
#: How long is waited for a thread before it is looked again whether it works on, seconds of real time.
LOOK_AGAIN = 0.005


class Clock:
    """Time for a test with :class:`~hubq.testing.Cluster` and :class:`~hubq.testing.FakeServer`. It passes as it always does, and
    quickly while the test says so: all that would happen in that time happens, in its order, as fast as the machine can.

    ``time.time``, ``time.monotonic``, the event loop, RQ with ``hub.cron``, and the ``TIME`` of a FakeServer follow it, within
    :meth:`run`. What does not: your own ``datetime.now()``, a real Redis, ``time.sleep``.

    >>> clock = Clock()
    >>> async def scenario():
    ...     began = time.time()
    ...     await clock.advance(3600)
    ...     return time.time() - began >= 3600
    >>> clock.run(scenario())
    True
    """

    def __init__(self) -> None:
        self._ahead = 0.0  # of the real time, seconds
        self._running: _Loop | None = None
        self._rests: set[asyncio.Event] = set()

    def run(self, scenario: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine with this clock, as :func:`asyncio.run` does."""
        with self._instead_of_time(), asyncio.Runner(loop_factory=self._loop) as runner:
            try:
                return runner.run(scenario)
            finally:
                self._running = None

    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass. Returns when all that was due by then has been begun.

        Raises :class:`~hubq.errors.ConfigError` outside of :meth:`run`.
        """
        loop = self._running
        if loop is None or asyncio.get_running_loop() is not loop:
            raise ConfigError("this clock does not run: call its advance() in a coroutine that you give to its run()")
        loop.waits.skips += 1
        try:
            self._end_rests()
            await asyncio.sleep(seconds)
            self._end_rests()
            await asyncio.sleep(A_MOMENT)
        finally:
            loop.waits.skips -= 1

    def skip(self, seconds: float) -> None:
        """Be so much later at once. (For the loop, when nothing happens in between.)"""
        self._ahead += seconds

    def _end_rests(self) -> None:
        for rest in self._rests:
            rest.set()

    async def _rest(self, until_tick: float) -> None:
        ended = asyncio.Event()
        self._rests.add(ended)
        try:
            async with asyncio.timeout(min(LONGEST_REST, until_tick)):
                await ended.wait()
        except TimeoutError:
            pass
        finally:
            self._rests.discard(ended)

    def _loop(self) -> _Loop:
        self._running = _Loop(_Waits(self))
        return self._running

    @contextmanager
    def _instead_of_time(self) -> Iterator[None]:
        def later(real: Callable[[], float]) -> Callable[[], float]:
            return lambda: real() + self._ahead

        with (
            replaced(time, "time", later),
            replaced(time, "monotonic", later),
            replaced(ASKED, NAME, _by_time),
            replaced(clock, "rest", lambda _: self._rest),
        ):
            yield


def _by_time(module: ModuleType) -> ModuleType:
    """``datetime`` for RQ: its ``datetime.now`` asks ``time.time``. (That of Python itself asks nobody.)"""
    made = ModuleType(module.__name__)
    vars(made).update(vars(module), datetime=_Moments)
    return made


class _Moments:
    """The part of ``datetime.datetime`` that RQ calls. What it makes is of the usual class."""

    strptime = datetime.datetime.strptime

    @staticmethod
    def now(zone: datetime.tzinfo | None = None) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(time.time(), zone)


class _Waits(selectors.DefaultSelector):
    """Where an event loop waits. While ``skips``, it does not wait for a time, but makes it that time, unless ``threads`` work."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.skips = 0
        self.threads = 0
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if not self.skips or timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.threads:
            return super().select(min(timeout, LOOK_AGAIN))
        if found := super().select(0):
            return found
        self._clock.skip(timeout)
        return []


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, waits: _Waits) -> None:
        super().__init__(waits)
        self.waits = waits

    def run_in_executor(self, executor: Executor | None, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        future: asyncio.Future[Any] = super().run_in_executor(executor, func, *args)
        self.waits.threads += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self.waits.threads -= 1


def runs_on_a_clock() -> bool:
    """Whether the running event loop is that of a :class:`Clock`."""
    return isinstance(asyncio.get_running_loop(), _Loop)
