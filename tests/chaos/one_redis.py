"""What is done to the one Redis of a run."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from hubq.store.embedded import EmbeddedServer

from .alibis import ALL, Alibi, Alibis
from .plan import Fault


class OneRedis:
    """A Redis with AOF, which ends and is started again."""

    def __init__(self, server: EmbeddedServer, alibis: Alibis) -> None:
        self.wrong: list[str] = []
        self._server = server
        self._alibis = alibis
        self._back = 0.0
        self._away = Alibi(ALL, 0.0, 0.0)

    def pids(self) -> list[int]:
        """That of Redis, if it is there."""
        pid = self._server.pid
        return [] if pid is None else [pid]

    def keep(self, directory: Path) -> None:
        """It has no log."""

    def takes(self, kind: str) -> bool:
        """Whether this is one of its faults."""
        return kind.startswith("redis_")

    def throw(self, fault: Fault) -> bool:
        """Begin it, if Redis is there; whether it has."""
        if self._back:
            return False
        self._back = time.monotonic() + fault.lasting
        self._away = self._alibis.begin(ALL)
        if fault.kind == "redis_kill" and self._server.pid:
            os.kill(self._server.pid, signal.SIGKILL)
        self._server.stop(keep=True)
        return True

    def tick(self, *, everything: bool) -> None:
        """End what is due (or everything)."""
        if self._back and (everything or time.monotonic() >= self._back):
            self._back = 0.0
            self._server.start()
            self._away.over()
