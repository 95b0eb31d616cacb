"""An event loop that owns time: it turns as asyncio's does, but its clock jumps to the next timer.

Every callback belongs to the simulated *process* in whose context it was made (a worker, a web client), or to the world
outside (Redis, the network, the faults). A process can be crashed (nothing of it ever runs again, no clean-up either),
or frozen (what would run is held back, its timers and answers too) and thawed.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import warnings
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from typing import Any

PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class Deadlock(Exception):
    """Nothing can ever happen any more, and the main coroutine has not ended."""


class Overrun(Exception):
    """The schedule took more simulated time, or more steps, than any should."""


class Process:
    """One operating system process of the simulated world. Its clock has an offset and a rate of its own."""

    def __init__(self, loop: Loop, name: str, offset: float = 0.0, rate: float = 1.0) -> None:
        self.loop, self.name, self.offset, self.rate = loop, name, offset, rate
        self.alive = True
        self.crashed = False
        self.frozen = False
        self.held_ready: list[Handle] = []
        self.held_timers: list[Handle] = []
        self.tasks: dict[SimTask, None] = {}  # kept until the end: a dead process's tasks must not be collected early
        loop.processes.append(self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in this process."""
        context = Context()
        context.run(PROCESS.set, self)
        return self.loop.create_task(work, context=context)

    def crash(self) -> None:
        """As SIGKILL does."""
        self.crashed = True
        self.end()

    def end(self) -> None:
        """The process is no more."""
        self.alive = self.frozen = False
        self.held_ready, self.held_timers = [], []

    def freeze(self) -> None:
        """As SIGSTOP does."""
        self.frozen = True

    def thaw(self) -> None:
        """As SIGCONT does: first what had been ready and what has arrived, then the timers that are due."""
        self.frozen = False
        held, self.held_ready = self.held_ready, []
        timers, self.held_timers = self.held_timers, []
        if self.alive:
            self.loop.ready.extend(held)
            self.loop.ready.extend(timers)


class Handle:
    """A callback to be run, or a timer (``when`` is simulated time)."""

    __slots__ = ("args", "callback", "context", "process", "stopped", "when")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context, when: float | None):
        self.callback, self.args, self.context, self.when = callback, args, context, when
        self.process = context.get(PROCESS)
        self.stopped = False

    def cancel(self) -> None:
        self.stopped = True
        self.callback, self.args = _nothing, ()

    def cancelled(self) -> bool:
        return self.stopped


def _nothing(*_: Any) -> None:
    pass


class SimTask(asyncio.Task):  # type: ignore[type-arg]
    """A task whose place in sets and dicts is its number, not its address."""

    def __init__(self, number: int, *args: Any, **options: Any) -> None:
        self.number = number
        super().__init__(*args, **options)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class SimFuture(asyncio.Future):  # type: ignore[type-arg]
    """The same for a future."""

    number = 0

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class Loop(asyncio.AbstractEventLoop):
    """See the module."""

    def __init__(self, most_time: float, most_steps: int) -> None:
        self.now = 0.0
        self.ready: deque[Handle] = deque()
        self.process: Process | None = None  # whose callback runs right now
        self.steps = 0
        self.thread_seconds: Callable[[], float] = lambda: 0.0
        self.complaints: list[str] = []
        self.processes: list[Process] = []
        self.world = Context()
        self._timers: list[tuple[float, int, Handle]] = []
        self._numbers = 0
        self._loose: dict[SimTask, None] = {}
        self._most_time, self._most_steps = most_time, most_steps
        self._closed = False

    def number(self) -> int:
        """1, 2, 3..."""
        self._numbers += 1
        return self._numbers

    # -- what asyncio asks of a loop -------------------------------------------------------------------------------

    def time(self) -> float:
        process = self.process
        return self.now if process is None else process.offset + self.now * process.rate

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        handle = Handle(callback, args, copy_context() if context is None else context, None)
        self.ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        process = self.process
        at = when if process is None else (when - process.offset) / process.rate
        handle = Handle(callback, args, copy_context() if context is None else context, at)
        heapq.heappush(self._timers, (at, self.number(), handle))
        return handle

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def after(self, delay: float, callback: Callable[..., Any], *args: Any) -> None:
        """A timer of the world outside: no process's clock, crash or freeze touches it."""
        heapq.heappush(
            self._timers, (self.now + delay, self.number(), Handle(callback, args, self.world, self.now + delay))
        )

    def create_future(self) -> asyncio.Future[Any]:
        future = SimFuture(loop=self)
        future.number = self.number()
        return future

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task = SimTask(self.number(), coro, loop=self, name=name or "task", context=context)
        task._log_destroy_pending = False
        owner = (context or copy_context()).get(PROCESS)
        tasks = self._loose if owner is None else owner.tasks
        tasks[task] = None
        task.add_done_callback(lambda done: tasks.pop(done, None))
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """A thread: it takes a while, and goes on when nobody waits for it any more."""
        future = self.create_future()

        def run() -> None:
            try:
                result = func(*args)
            except BaseException as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_later(self.thread_seconds(), run)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.complaints.append(f"{context.get('message')}: {error!r}")

    # -- running ---------------------------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine of the world to its end, then end everything."""
        events._set_running_loop(self)
        try:
            task = self.create_task(main, context=self.world)
            self._turn_until(task)
            return task.result()
        finally:
            self._end()
            events._set_running_loop(None)

    def _turn_until(self, task: asyncio.Task[Any]) -> None:
        ready, timers, pop = self.ready, self._timers, heapq.heappop
        while not task.done():
            if not ready:
                if not timers:
                    raise Deadlock(f"nothing can happen any more at {self.now:.3f}")
                self.now = max(self.now, timers[0][0])
                if self.now > self._most_time:
                    raise Overrun(f"not over after {self._most_time:g} simulated seconds")
                while timers and timers[0][0] <= self.now:
                    ready.append(pop(timers)[2])
            handle = ready.popleft()
            if handle.stopped:
                continue
            process = self.process = handle.process
            if process is not None and (process.frozen or not process.alive):
                if process.frozen:
                    (process.held_ready if handle.when is None else process.held_timers).append(handle)
                continue
            self.steps += 1
            if self.steps > self._most_steps:
                raise Overrun(f"more than {self._most_steps} steps")
            try:
                handle.context.run(handle.callback, *handle.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self.call_exception_handler({"message": "a callback raised", "exception": error})
        self.process = None

    def _end(self) -> None:
        # Nobody else may wake these tasks: end their coroutines here, in a fixed order, instead of when they are collected.
        self._closed = True
        self.ready.clear()
        self._timers.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # coroutines that never got to run
            for tasks in [self._loose, *(process.tasks for process in self.processes)]:
                close_tasks(tasks)


def close_tasks(tasks: dict[SimTask, None]) -> None:
    """End the coroutines of tasks that will never go on."""
    for task in list(tasks):
        with contextlib.suppress(BaseException):  # its clean-up may want to await
            task.get_coro().close()  # type: ignore[union-attr]
    tasks.clear()
