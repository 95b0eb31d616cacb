"""The event loop of a worker. What children's code does to it costs them, and not the worker: all the others run in it, too.

It is asyncio's loop, or that of uvloop, with four differences:

- ``loop.stop()`` in a child's code raises.
- ``asyncio.all_tasks()`` has the tasks of users' code alone. Who cancels them all, as scripts do at their end, cancels no part of hubq.
- What a handler has left behind (a task group, a time-out) cancels no handler that runs after it in the same task.
- A forked process in which a child's code returns to its copy of the loop ends. It would use the connections of the worker.

Only ``hubq worker`` has it: its process is hubq's.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakSet

from hubq.cli.loop_connections import LoopConnections
from hubq.client.asking.calling import handling
from hubq.node.children.pumps import Pumps
from hubq.node.held.in_hand import InHand

T = TypeVar("T")

log = logging.getLogger("hubq.worker")

#: The exit code of a fork that goes on in the loop of its worker.
COPY = 70
#: The code of hubq itself.
HUBQ = f"{Path(__file__).resolve().parents[1]}/"


class PumpTask(asyncio.Task[Any]):
    """The task of a pump: it runs one handler after the other, of many children."""

    def cancel(self, msg: Any | None = None) -> bool:
        """A handler cancels itself, and no other handler."""
        culprit = handling()
        if isinstance(culprit, InHand) and not self._may_be_cancelled_by(culprit):
            log.error(
                "child %s: %s has left something behind that would cancel the handler of another message (a task group, a time-out, "
                "a timer): it was held back. Let it end with its handler", culprit.child_id, culprit.method,
            )  # fmt: skip
            return False
        return super().cancel(msg)

    def _may_be_cancelled_by(self, culprit: InHand) -> bool:
        frame = getattr(self.get_coro(), "cr_frame", None)
        in_hand = frame.f_locals.get("in_hand") if frame is not None else None
        if in_hand is None or in_hand.undone or in_hand.killed is not None:  # (hubq itself says so before it cancels)
            return True
        return culprit is in_hand and not culprit.over


class WorkerLoop(asyncio.AbstractEventLoop):
    """What a worker's loop does in another way. The class of a real loop comes behind it."""

    def stop(self) -> None:
        """Not for children."""
        if handling() is not None or asyncio.current_task(self) is not None:
            raise RuntimeError(
                "this is the event loop of a worker, and runs all its children: code of a child does not stop it. To end the child: "
                "self.stop(); to end the worker: hubq drain"
            )
        super().stop()

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Connections are cut in forks."""
        return _kept(await super().create_connection(*args, **options))

    async def create_unix_connection(self, *args: Any, **options: Any) -> Any:
        """Connections are cut in forks."""
        return _kept(await super().create_unix_connection(*args, **options))

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        """Tasks of hubq are not listed among those of users' code, and users' factories do not make them."""
        code = getattr(coro, "cr_code", None)
        if code is None or not code.co_filename.startswith(HUBQ):
            made: asyncio.Task[Any] = super().create_task(coro, **options)
            return made
        kind: type[asyncio.Task[Any]] = PumpTask if code is PUMP else asyncio.Task
        task = kind(coro, loop=self, **options)
        asyncio.tasks._unregister_task(task)
        _own.add(task)
        return task


PUMP = Pumps._pump.__code__
#: The tasks of hubq that nobody else sees.
_own: WeakSet[asyncio.Task[Any]] = WeakSet()


_connections = LoopConnections()


def _kept(made: tuple[asyncio.BaseTransport, Any]) -> tuple[asyncio.BaseTransport, Any]:
    _connections.add(made[0])
    return made


def _is_a_copy(loop: asyncio.AbstractEventLoop) -> None:
    """In a process that was forked: this loop must not turn, and what is written before it would have turned goes nowhere."""
    _connections.cut()
    if not loop.is_closed():
        loop.call_soon(_ends)


def _ends() -> None:
    os.write(
        2,
        b"code of a child has forked the worker and returned in the fork: it ends. Call os._exit there, or start a process\n",
    )
    os._exit(COPY)


def worker_loop() -> asyncio.AbstractEventLoop:
    """A new loop for a worker: uvloop's if it is installed, else asyncio's own."""
    try:
        real = importlib.import_module("uvloop").Loop
    except ImportError:
        real = asyncio.SelectorEventLoop
    made: asyncio.AbstractEventLoop = type("WorkerLoop", (WorkerLoop, real), {})()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: _is_a_copy(made))
    return made


def run_to_end(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` to its end in a loop of a worker, whatever ends the loop before that.

    A task or a timer of users' code that raises :class:`SystemExit` or :class:`KeyboardInterrupt` ends a loop: asyncio takes it for the
    program's own wish. Here it is logged, and the loop goes on.
    """
    task = loop.create_task(main)
    task.add_done_callback(lambda _: loop.stop())
    while not task.done():
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            if not task.done():
                log.error(
                    "code of a child has raised %s in a task or a timer of its own. The worker goes on; SIGTERM ends it",
                    type(error).__name__, exc_info=error,
                )  # fmt: skip
        else:
            if not task.done():
                log.error("code of a child has stopped the event loop of the worker: it goes on")
    for left in list(_own):
        if not left.done():
            asyncio.tasks._register_task(left)  # whoever closes the loop ends it
    return task.result()
