"""An event loop that owns time: it turns as asyncio's does, but its clock jumps to the next timer.

Every callback belongs to the simulated *process* in whose context it was made (a worker, a web client), or to the world
outside (Redis, the network, the faults). A process can be crashed (nothing of it ever runs again, no clean-up either),
or frozen (what would run is held back, its timers and answers too) and thawed.

A callback takes no time, unless it says that it is *busy* (:meth:`Process.work`): then the other callbacks of its process
wait so long, and its clock is ahead until then. What runs *apart* (in a thread of the process) does not wait.
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
#: Whether this runs in a thread beside the loop of its process.
APART: ContextVar[bool] = ContextVar("apart", default=False)

#: What comes between two times in which a loop stands still is less than a turn of it, seconds.
A_TURN = 1e-6


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
        self.halted = False  # dead, frozen or busy: whether a callback of it may run has to be looked at
        self.busy_since = self.busy_until = self.blocked_since = 0.0
        self.held_ready: list[Handle] = []
        self.held_timers: list[Handle] = []
        self.tasks: dict[SimTask, None] = {}  # kept until the end: a dead process's tasks must not be collected early
        self.worked = 0.0  # processor time, seconds
        self.blocked: asyncio.Task[Any] | None = None  # the task that stands still in its middle
        self._blocking: asyncio.Future[None] | None = None
        loop.processes.append(self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in this process."""
        context = Context()
        context.run(PROCESS.set, self)
        return self.loop.create_task(work, context=context)

    def spawn_apart(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine in a thread of this process."""
        context = Context()
        context.run(PROCESS.set, self)
        context.run(APART.set, True)
        return self.loop.create_task(work, context=context)

    def crash(self) -> None:
        """As SIGKILL does."""
        self.crashed = True
        self.end()

    def end(self) -> None:
        """The process is no more."""
        self.alive = self.frozen = False
        self.halted = True
        self.held_ready, self.held_timers = [], []

    def freeze(self) -> None:
        """As SIGSTOP does."""
        self.frozen = self.halted = True

    def thaw(self) -> None:
        """As SIGCONT does: first what had been ready and what has arrived, then the timers that are due."""
        self.frozen = False
        self._go_on()

    # -- callbacks that take time ----------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether its loop stands still."""
        return self.busy_until > self.loop.now

    def work(self, seconds: float) -> None:
        """The callback that runs takes so long. It goes on at once, with its clock ahead; the others wait."""
        if self.loop.now > self.busy_until + A_TURN:
            self.busy_since = self.loop.now
        self.busy_until = max(self.busy_until, self.loop.now) + seconds
        self.halted = True
        self.loop.at(self.busy_until, self._done)

    async def block(self, seconds: float) -> None:
        """The same for a coroutine that stands still in its middle: nothing of the process runs before it goes on."""
        self.work(seconds)
        self.blocked_since = self.loop.now
        self._blocking, self.blocked = self.loop.create_future(), asyncio.current_task()
        await self._blocking
        self.blocked = None

    def release(self) -> None:
        """End what blocks it."""
        if self.busy and self._blocking is not None:
            self.busy_until = self.loop.now
            self._done()

    def _done(self) -> None:
        if self.busy or not self.alive:
            return
        blocking, self._blocking = self._blocking, None
        if blocking is not None and not blocking.done():
            others = list(self.loop.ready)
            self.loop.ready.clear()
            blocking.set_result(None)  # whoever blocked goes on before anybody else
            if self.frozen:
                self.held_ready[:0] = self.loop.ready
                self.loop.ready.clear()
            self._go_on()
            self.loop.ready.extend(others)
        else:
            self._go_on()

    def _go_on(self) -> None:
        self.halted = self.frozen or self.busy or not self.alive
        held, self.held_ready = self.held_ready, []
        timers, self.held_timers = self.held_timers, []
        for handle in [*held, *timers]:
            if not (self.halted and self.keeps(handle)):
                self.loop.ready.append(handle)

    def keeps(self, handle: Handle) -> bool:
        """Whether a callback must not run now. It comes when it may, unless the process is dead."""
        if not self.alive:
            return True
        if self.frozen or (self.busy and not handle.apart):
            (self.held_ready if handle.when is None else self.held_timers).append(handle)
            return True
        return False

    def stands_still(self) -> bool:
        """Whether the callback that runs has gone on although its process is dead, frozen or busy."""
        return self.halted and (self.frozen or not self.alive or (self.busy and not self.loop.apart))


class Handle:
    """A callback to be run, or a timer (``when`` is simulated time)."""

    __slots__ = ("apart", "args", "callback", "context", "process", "stopped", "when")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: Context, when: float | None):
        self.callback, self.args, self.context, self.when = callback, args, context, when
        self.process = context.get(PROCESS)
        self.apart = context.get(APART, False)
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
        self.owner: Process | None = None
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
        self.apart = False  # whether it is a thread's
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
        if process is None:
            return self.now
        now = self.now if self.apart else max(self.now, process.busy_until)
        return process.offset + now * process.rate

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        handle = Handle(callback, args, copy_context() if context is None else context, None)
        self.ready.append(handle)
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> Any:
        """From a thread into the loop of its process."""
        context = copy_context() if context is None else context
        if context.get(APART):
            context.run(APART.set, False)
        return self.call_soon(callback, *args, context=context)

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
        self.at(self.now + delay, callback, *args)

    def at(self, when: float, callback: Callable[..., Any], *args: Any) -> None:
        """The same, for a moment."""
        heapq.heappush(self._timers, (when, self.number(), Handle(callback, args, self.world, when)))

    def create_future(self) -> asyncio.Future[Any]:
        future = SimFuture(loop=self)
        future.number = self.number()
        return future

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task = SimTask(self.number(), coro, loop=self, name=name or "task", context=context)
        task._log_destroy_pending = False
        owner = task.owner = (context or copy_context()).get(PROCESS)
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

        context = copy_context()
        context.run(APART.set, True)
        self.call_later(self.thread_seconds(), run, context=context)
        return future

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error, task = context.get("exception"), context.get("future")
        if isinstance(task, SimTask) and task.owner is not None and not task.owner.alive:
            return  # its process has died before anybody there could hear of it
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
            process, self.apart = handle.process, handle.apart
            self.process = process
            if process is not None and process.halted and process.keeps(handle):
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
        self.process, self.apart = None, False

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
