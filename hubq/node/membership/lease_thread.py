"""The lease thread: drives the rounds with a blocking connection of its own, whatever the event loop does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import Protocol

from hubq.node.membership.rounds import Rounds
from hubq.node.runtime.tasks import LETTING_GO
from hubq.store.connection import Server, SyncRedis

log = logging.getLogger("hubq.node")

#: The pause after a round that has failed as none should, seconds.
AGAIN = 0.2


class Driver(Protocol):
    """Makes the rounds. ``start`` and ``stop`` may be called in any order, and more than once."""

    def start(self) -> None:
        """Begin. Nothing happens if it has begun."""

    async def stop(self) -> None:
        """Make no further round. Nothing happens if there is none."""


class Drive(Protocol):
    """Makes a driver."""

    def __call__(self, rounds: Rounds, server: Server, node_name: str) -> Driver: ...


class ConnectWaiting(Protocol):
    """Makes the thread's connection."""

    def __call__(self, server: Server, timeout: float) -> SyncRedis: ...


class LeaseThread:
    """Drives the rounds of one node."""

    def __init__(self, rounds: Rounds, server: Server, node_name: str, connect: ConnectWaiting = SyncRedis) -> None:
        self._rounds = rounds
        self._server = server
        self._node_name = node_name
        self._connect = connect
        self._run: _Run | None = None

    def start(self) -> None:
        """Begin to make rounds, in a thread."""
        if self._run is None:
            self._rounds.begin_anew()
            self._run = _Run(self._rounds, self._server, self._connect, self._node_name)

    async def stop(self) -> None:
        """Make no further round. A request that is under way is waited for, but not for long: its answer counts no more."""
        run, self._run = self._run, None
        if run is not None:
            await run.stop(LETTING_GO)


class _Run:
    """The thread from one start to the next stop. Daemonic: a process does not wait for a Redis that is silent."""

    def __init__(self, rounds: Rounds, server: Server, connect: ConnectWaiting, node_name: str) -> None:
        self._rounds = rounds
        self._server = server
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"hubq-lease-{node_name}", daemon=True)
        self._thread.start()

    async def stop(self, within: float) -> None:
        self._stopping.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._ended.wait()
                self._thread.join(1.0)  # it has only to return

    def _work(self) -> None:
        redis = self._connect(self._server, self._rounds.request_timeout)
        try:
            pause = 0.0
            while not self._stopping.wait(pause):
                try:
                    if self._rounds.new_term():
                        redis.hang_up()  # what it was evicted from may be a Redis that is primary no more
                    pause = self._round(redis)
                except Exception:
                    log.exception("a round of the lease thread failed")  # (no memory, perhaps, for this moment)
                    pause = AGAIN
        finally:
            redis.close()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                self._loop.call_soon_threadsafe(self._ended.set)

    def _round(self, redis: SyncRedis) -> float:
        steps = self._rounds.round()
        try:
            request = next(steps)
            while not self._stopping.is_set():
                try:
                    answers = redis.run_many(request)
                except Exception as error:
                    request = steps.throw(error)
                else:
                    if self._stopping.is_set():
                        break  # the node has gone on without us: an answer changes nothing now
                    request = steps.send(answers)
        except StopIteration as done:
            pause: float = done.value
            return pause
        steps.close()
        return 0.0
