"""What lies between processes and one Redis: delays, lost connections, a Redis that restarts, packets that come too late.

:mod:`tests.simulation.connecting` is what a process sees of it. A hub with several groups may have several of these.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from hubq.store.scripts import SCRIPTS
from tests.simulation.loop import Loop, Process
from tests.simulation.store import Store, Write

if TYPE_CHECKING:
    from tests.simulation.faults import Plan


class Sees(Protocol):
    """Sees every write."""

    def saw(self, process: Process, name: str, args: Sequence[Any], writes: list[Write], now: float) -> None:
        """Some command of a process has written this."""


#: A connection that could not be made leads to this life of Redis.
NOWHERE = -1

NAMES = {script.sha: script.name for script in SCRIPTS.values()}


def name_of(args: Sequence[Any]) -> str:
    """What a command is called in traces and faults: a script by its name."""
    return NAMES.get(args[1], "?") if args[0] == "EVALSHA" else str(args[0])


class Request:
    """Commands on their way over one connection, and their answers on the way back."""

    __slots__ = ("answers", "blocked_on", "commands", "done", "fate", "future", "lives", "names", "process", "timer")

    def __init__(self, process: Process, commands: Sequence[Sequence[Any]], future: asyncio.Future[Any]) -> None:
        self.process, self.commands, self.future = process, commands, future
        self.names = [name_of(args) for args in commands]
        self.answers: list[Any] = []
        self.done = False  # the process got its answer, or gave up waiting
        self.fate = ""
        self.lives = NOWHERE  # which life of Redis its connection leads to
        self.blocked_on: tuple[bytes, ...] = ()
        self.timer: Any = None


class Record:
    """What is told of a schedule, whatever Redis it happens at: its steps, and how many faults of which kind there were."""

    def __init__(self, loop: Loop, trace: Callable[[str], None] | None = None) -> None:
        self.loop, self.trace = loop, trace
        self.thrown: dict[str, int] = {}
        self.executed = 0
        self.hash = 0

    def threw(self, kind: str) -> None:
        """Count a fault."""
        self.thrown[kind] = self.thrown.get(kind, 0) + 1

    def say(self, what: str) -> None:
        """A line of the trace (and of its hash)."""
        self.hash = crc32(f"{self.loop.now:.6f} {what}".encode(), self.hash)
        if self.trace is not None:
            self.trace(f"{self.loop.now:10.4f} {what}")


class Network:
    """All connections to one Redis, and that Redis. ``name``: what it is called, if there are several."""

    def __init__(
        self, loop: Loop, rng: Random, store: Store, observer: Sees, plan: Plan, record: Record, name: str = ""
    ) -> None:
        self.loop, self.rng, self.store, self.observer, self.plan = loop, rng, store, observer, plan
        self.record, self.name = record, name
        self.cut: dict[Process, bool] = {}
        """Who does not reach it. True: nothing comes back, as from a black hole."""
        self.down = False
        self.lives = 0
        self.slower = 0.0
        """Up to so many seconds are added to each way."""
        self.frozen_until = 0.0
        self._called = f" {name}" if name else ""
        self.about_to_send: Callable[[Request], None] = lambda request: None
        self.executed_for: Callable[[Request], None] = lambda request: None
        self.disturbed: Callable[[Process, float], None] = lambda process, seconds: None
        self._open: dict[Request, None] = {}
        self._blocked: dict[bytes, dict[Request, None]] = {}

    # -- sending ---------------------------------------------------------------------------------------------------

    async def request(self, process: Process, commands: Sequence[Sequence[Any]], timeout: float) -> list[Any]:
        """Send commands and wait for all answers; each is a value or an error of Redis."""
        loop = self.loop
        request = Request(process, commands, loop.create_future())
        # Its connection is made, and has asked who answers, before the process may be frozen. If Redis goes away meanwhile, or was
        # away, what the thawed process sends is lost with that connection: it never reaches a Redis that was not asked.
        request.lives = NOWHERE if self.down else self.lives
        self.about_to_send(request)
        if process.stands_still():
            await asyncio.sleep(0)  # it goes out when the process is thawed, or has time
        self._open[request] = None
        request.timer = loop.call_later(timeout, self._give_up, request)
        self._send(request)
        try:
            answers: list[Any] = await request.future
            return answers
        finally:
            request.timer.cancel()
            self._close(request)
            if request.future.done() and not request.future.cancelled():
                request.future.exception()  # heard, even if the task was cancelled in the same moment

    def _send(self, request: Request) -> None:
        if self.down or request.lives != self.lives or request.process in self.cut:
            if not self.cut.get(request.process):
                self.loop.after(self.delay(), self._lose, request)
            return  # a black hole: nothing comes back until the time-out
        delay = self.delay()
        request.fate = fate = self.plan.fate(request.names)
        if fate:
            self.record.threw(fate)
            self.record.say(f"{request.process.name} {fate}{self._called}: {' '.join(request.names)}")
            self.disturbed(request.process, 1.0)
        if fate == "late packet":
            # The connection breaks for the sender; what it had sent arrives all the same, later.
            self.loop.after(delay, self._lose, request)
            delay += self.rng.uniform(0.05, 3.0)
        elif fate == "lost before":
            self.loop.after(delay, self._lose, request)
            return
        self.loop.after(delay, self._arrive, request)

    def delay(self) -> float:
        """How long one way takes, seconds."""
        rng, mean = self.rng, self.plan.latency
        slower = self.slower and rng.uniform(0.0, self.slower)
        return slower + (mean * (0.5 + rng.random()) if rng.random() < 0.97 else mean * rng.uniform(1, 40))

    def _give_up(self, request: Request) -> None:
        if not request.future.done():
            request.future.set_exception(RedisTimeoutError("no answer (simulated)"))

    def _lose(self, request: Request) -> None:
        if not request.future.done() and not request.done:
            request.future.set_exception(RedisConnectionError("connection lost (simulated)"))

    def _close(self, request: Request) -> None:
        request.done = True
        self._open.pop(request, None)
        self._unblock(request)

    # -- at Redis --------------------------------------------------------------------------------------------------

    def _arrive(self, request: Request) -> None:
        if self.down or request.lives != self.lives or (request.process in self.cut and self.rng.random() < 0.5):
            if request.process not in self.cut:
                self._lose(request)
            return
        if self.frozen_until > self.loop.now:
            self.loop.at(self.frozen_until + self.delay() / 10, self._arrive, request)
            return
        place = len(request.answers)
        while place < len(request.commands):
            args = request.commands[place]
            if request.fate == "lost midway" and place and self.rng.random() < 0.5:
                break
            if place and self.rng.random() < 0.02:
                self.loop.after(self.delay() / 4, self._arrive, request)  # others come in between
                return
            answer = self._execute(request.process, args, request.names[place])
            if not answer and args[0] in ("XREAD", "BLPOP") and self._block(request, args):
                return
            request.answers.append(answer)
            place += 1
        self._answer(request)

    def _answer(self, request: Request) -> None:
        self.executed_for(request)
        if request.fate in ("lost after", "lost midway"):
            self.loop.after(self.delay(), self._lose, request)
        else:
            slow = self.plan.active and self.plan.slow_reads and "XREAD" in request.names and self.rng.random() < 0.1
            self.loop.after(self.rng.uniform(0.0, 0.5) if slow else self.delay(), self._answered, request)

    def _answered(self, request: Request) -> None:
        if request.done or request.future.done():
            return
        if request.lives != self.lives or request.process in self.cut:
            if not self.cut.get(request.process):
                self._lose(request)
            return
        request.future.set_result(request.answers)

    def _execute(self, process: Process, args: Sequence[Any], name: str) -> Any:
        if args[0] == "BLPOP":
            found, writes = self.store.execute(("LPOP", args[1]))
            answer = None if found is None else [args[1], found]
        elif args[0] == "XREAD" and args[3] == "BLOCK":
            half = (len(args) - 6) // 2
            answer, writes = None, []
            if self.store.newer(args[6 : 6 + half], args[6 + half :]):
                answer, writes = self.store.execute((*args[:3], *args[5:]))
                answer = answer or None
        else:
            answer, writes = self.store.execute(args)
        self.record.executed += 1
        if self.record.trace is not None or writes:
            shown = answer if len(repr(answer)) < 90 else f"{repr(answer)[:90]}..."
            # (A point of a node's history has what the process really takes.)
            told = args[3:6] if name == "note_point" else args[3:9]
            self.record.say(f"{process.name} {name}{self._called} {' '.join(map(_shown, told))} -> {shown}")
        if writes:
            self.observer.saw(process, name, args, writes, self.loop.now)
            for _, written, _ in writes:
                if written and written[0] in self._blocked:
                    self._wake(written[0])
        return answer

    def inject(self, process: Process, *args: Any) -> Any:
        """Somebody with a Redis client of his own does this, at once."""
        return self._execute(process, args, str(args[0]))

    # -- blocking reads --------------------------------------------------------------------------------------------

    def _block(self, request: Request, args: Sequence[Any]) -> bool:
        if args[0] == "BLPOP":
            keys, seconds = [args[1]], float(args[2])
        else:
            words = [str(a) for a in args]
            if "BLOCK" not in words:
                return False
            at = words.index("STREAMS") + 1
            count = (len(args) - at) // 2
            keys, seconds = list(args[at : at + count]), float(args[words.index("BLOCK") + 1]) / 1000
            ids = list(args[at + count :])
            for n, after in enumerate(ids):
                if after in (b"$", "$"):
                    last = self.store.look("XREVRANGE", keys[n], "+", "-", "COUNT", 1)
                    ids[n] = last[0][0] if last else b"0"
            request.commands = [[*args[: at + count], *ids]]
        request.blocked_on = tuple(k.encode() if isinstance(k, str) else k for k in keys)
        for key in request.blocked_on:
            self._blocked.setdefault(key, {})[request] = None
        self.loop.after(seconds, self._block_over, request)
        return True

    def _unblock(self, request: Request) -> None:
        for key in request.blocked_on:
            waiting = self._blocked.get(key, {})
            waiting.pop(request, None)
            if not waiting:
                self._blocked.pop(key, None)
        request.blocked_on = ()

    def _block_over(self, request: Request) -> None:
        if request.blocked_on:
            self._unblock(request)
            request.answers.append(None)
            self._answer(request)

    def _wake(self, key: bytes) -> None:
        for request in list(self._blocked.get(key, ())):
            self._unblock(request)
            self.loop.after(0.0, self._woken, request)

    def _woken(self, request: Request) -> None:
        if not request.done:  # else its connection is closed
            self._arrive(request)

    # -- faults ----------------------------------------------------------------------------------------------------

    def restart(self, seconds: float) -> None:
        """Redis goes away and comes back with its data (AOF), but without scripts and connections."""
        self.down = True
        self.frozen_until = 0.0
        self.lives += 1
        self.store.flush_scripts()
        for request in list(self._open):
            self._unblock(request)
            self.loop.after(self.delay(), self._lose, request)
        self.loop.after(seconds, self._up)

    def _up(self) -> None:
        self.down = False
        self.record.say(f"Redis{self._called} is back")

    def cut_off(self, process: Process) -> None:
        """What is open to a process is lost (it is up to ``plan.cut`` what becomes of what it opens next)."""
        for request in [r for r in self._open if r.process is process]:
            self._unblock(request)
            if not self.cut.get(process):
                self.loop.after(self.delay(), self._lose, request)

    def died(self, process: Process) -> None:
        """Redis sees a process's connections closed."""
        for request in [r for r in self._open if r.process is process]:
            self._unblock(request)
            request.done = True
            self._open.pop(request, None)


def _shown(value: Any) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if text.isprintable() and len(text) < 60 else f"<{len(text)}>"
