"""The driver for code that waits: a session for each thread. Safe under threads, and after a fork."""

from __future__ import annotations

import os
import threading
from typing import TypeVar

from hubq.client.asking.context import HubContext
from hubq.client.asking.forks import renewed_after_fork
from hubq.client.asking.founding import Founding
from hubq.client.asking.loop_thread import LoopThread
from hubq.client.asking.running_loop import refuse_in_event_loop
from hubq.client.asking.session import Session
from hubq.client.asking.steps import Operation
from hubq.store.connection import Server, SyncRedis
from hubq.store.membership import check_config, read_config

T = TypeVar("T")


class _OfThread(threading.local):
    """The session of each thread, and the process in which it was made."""

    session: Session | None = None
    pid = 0

    def keep(self, session: Session, pid: int) -> None:
        self.session, self.pid = session, pid


class ThreadDriver:
    """Runs operations by waiting (a :class:`~hubq.client.asking.driver.Driver`). Connects at the first of them."""

    def __init__(self, context: HubContext, server: Server, founding: Founding | None = None) -> None:
        self.context = context
        self.server = server
        self._founding = founding
        self._here = _OfThread()
        self._redis: tuple[int, SyncRedis] | None = None
        self._loop_thread: tuple[int, LoopThread] | None = None
        self.renew_locks()
        renewed_after_fork(self)

    def renew_locks(self) -> None:
        """In a forked process (:mod:`hubq.client.asking.forks`)."""
        self._lock = threading.Lock()

    def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end."""
        return self.asker().drive(operation)

    def asker(self) -> Session:
        """The session of this thread.

        Raises :class:`~hubq.errors.WaitsInEventLoop` if an event loop runs in it.
        """
        refuse_in_event_loop()
        pid = os.getpid()
        session = self._here.session
        if session is None or self._here.pid != pid:
            session = Session(self.context, self._connection(pid))
            self._here.keep(session, pid)
        return session

    def connect(self) -> None:
        """Connect, if that was not done. In any thread: a session finds the connection."""
        self._connection(os.getpid())

    @property
    def connected(self) -> bool:
        """Whether that was done in this process."""
        redis = self._redis
        return redis is not None and redis[0] == os.getpid()

    def _connection(self, pid: int) -> SyncRedis:
        # A forked child must not share its parent's sockets, sender ids or checks.
        with self._lock:
            if self._redis is None or self._redis[0] != pid:
                redis, context = SyncRedis(self.server), self.context
                try:
                    # Reading first: a user who may only read can look at a hub that exists.
                    fixed = redis.run(read_config(context.keys))
                    if fixed is None:
                        if self._founding is not None:
                            self._founding.check()
                        fixed = redis.run(check_config(context.keys, context.config.shards, context.wire))
                    context.check(fixed, self.server.address)
                except BaseException:
                    redis.close()
                    raise
                self._redis = (pid, redis)
            return self._redis[1]

    def loop_thread(self) -> LoopThread:
        """The event loop of this process for what only an event loop does."""
        pid = os.getpid()
        with self._lock:
            if self._loop_thread is None or self._loop_thread[0] != pid:
                self._loop_thread = pid, LoopThread(self.context, self.server, self._founding)
            return self._loop_thread[1]

    def of(self, child_id: str) -> ThreadDriver:
        """The driver for one child."""
        return self

    def connect_to(self, server: Server, founding: Founding | None = None) -> None:
        """Ask another Redis from the next operation on."""
        self.close()
        self.server, self._founding = server, founding

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""
        with self._lock:
            if self._redis is not None and self._redis[0] == os.getpid():
                self._redis[1].close()
            self._redis = None
            self._here = _OfThread()
            loop_thread, self._loop_thread = self._loop_thread, None
        if loop_thread is not None and loop_thread[0] == os.getpid():
            loop_thread[1].close()
