"""Several worker processes under one parent. The parent forwards signals and restarts a worker that dies."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

log = logging.getLogger("hubq.worker")

#: Pause before a worker that died is started again, seconds. It doubles each time the worker died soon, up to LONGEST_PAUSE.
RESTART_PAUSE = 1.0
LONGEST_PAUSE = 8.0
#: A worker that fails sooner than this after its start has "died soon", seconds. While no worker has lived longer, the
#: set-up is taken to be wrong, and the parent gives up.
TOO_SOON = 1.0
#: The exit code of a worker that ended by itself with an error. (A worker that a message took down has another one, usually.)
FAILED = 1
#: Exit codes after which a new start is useless: wrong usage, no Redis.
HOPELESS = (2, 3)


#: The variable in which a worker is told the ``--redis`` of its parent. An argument would show its password to all users of
#: the machine (ps).
REDIS_OF_PARENT = "HUBQ_WORKER_REDIS"


def run_processes(workers: Mapping[str, Sequence[str]], redis: str | None) -> int:
    """Run ``hubq worker`` once per name, with the given arguments, until all have ended. Returns the exit code."""
    return asyncio.run(_Parent(workers, environment(redis)).run())


def environment(redis: str | None) -> dict[str, str]:
    """The environment of a worker that is started with the URL that was given to ``--redis``."""
    return {**os.environ, **({REDIS_OF_PARENT: redis} if redis is not None else {})}


class _Parent:
    def __init__(self, workers: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> None:
        self._workers = workers
        self._environment = environment
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._given_up = 0
        self._proven = False  # True once a worker has lived: then a message ends the others soon, not the set-up

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._forward, number)
        codes = await asyncio.gather(*(self._keep(name) for name in self._workers))
        return self._given_up or max(codes)

    def _forward(self, number: signal.Signals) -> None:
        self._stopping.set()
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    async def _keep(self, name: str) -> int:
        loop = asyncio.get_running_loop()
        pause = RESTART_PAUSE
        while not self._stopping.is_set():
            began = loop.time()
            # Its own session: else Ctrl-C would reach it twice, from the terminal and from this process.
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hubq",
                "worker",
                *self._workers[name],
                env=self._environment,
                start_new_session=True,
            )
            self._running[name] = process
            if self._stopping.is_set():
                process.terminate()
            code = await process.wait()
            del self._running[name]
            if self._stopping.is_set() and code in (-signal.SIGTERM, -signal.SIGINT):
                return 0  # the signal came before the worker listened for signals
            code = code if code >= 0 else 128 - code
            if self._stopping.is_set() or code == 0:  # 0: it was drained with `hubq drain`
                return code
            soon = loop.time() - began < TOO_SOON
            self._proven = self._proven or not soon
            if code in HOPELESS or (soon and code == FAILED and not self._proven):
                if not self._given_up:
                    log.error("worker %s ended with code %d; giving up", name, code)
                self._given_up = self._given_up or code
                self._forward(signal.SIGTERM)
                return code
            log.warning("worker %s ended with code %d; starting it again", name, code)
            pause = min(2 * pause, LONGEST_PAUSE) if soon else RESTART_PAUSE
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                pass
        return 0
