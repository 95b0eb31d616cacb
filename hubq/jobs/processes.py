"""The job processes of a node: started, restarted when they die, ended in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable

import msgspec

from hubq.client.hub import Hub
from hubq.core.job_names import name_in_rq
from hubq.jobs.task import Task, task_for

log = logging.getLogger("hubq.jobs")

#: Pause before a process that died is started again, seconds; doubled each time it dies young, up to the second one.
PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: A process that lived for so long was not young, seconds.
YOUNG = 5.0
#: The part of the drain's time that is kept for giving a job back: so many seconds, or this share of it if that is less.
RESERVE, RESERVED_PART = 3.0, 0.4

#: How long processes may stay beyond the drain's time, seconds: the machine may be slow while a job is given back.
LINGER = 2.0


async def spawn(task: Task) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """Start a job process; the socket is the node's end of the line to it."""
    ours, theirs = socket.socketpair()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hubq.jobs.process", str(theirs.fileno()),
            pass_fds=(theirs.fileno(),), start_new_session=True,
        )  # fmt: skip
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.sendall(msgspec.json.encode(task) + b"\n")
    return process, ours


class JobProcesses:
    """``count`` RQ workers under one node.

    A SIGTERM lets each finish the job in hand for most of ``drain_timeout`` seconds; what is not done by then goes back
    to the front of the queue. If the node is killed, they see the line to it close and end in the same way.
    """

    def __init__(self, hub: Hub, node_name: str, count: int, *, app: str = "", drain_timeout: float = 30.0) -> None:
        grace = max(0.0, drain_timeout - min(RESERVE, RESERVED_PART * drain_timeout))

        def task(number: int, start: int) -> Task:
            # RQ wants a new name for each start.
            name = name_in_rq(hub.hub_id, f"{node_name}.{number}-{os.getpid()}.{start}")
            return task_for(hub, "queue", name, app=app, grace=grace)

        self.restarts = 0
        self._hub = hub
        self._task: Callable[[int, int], Task] = task
        self.count = count
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None  # for jobs that were taken, and not begun

    def start(self) -> None:
        """Start them all."""
        loop = asyncio.get_running_loop()
        self._keepers = [loop.create_task(self._keep(number)) for number in range(1, self.count + 1)]
        if self.count:
            self._look()

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [process.pid for process in self._running.values()]

    def ask_to_stop(self) -> None:
        """Take no more jobs; finish, or give back, those in hand."""
        self._stopping.set()
        for process in self._running.values():
            _signal(process, signal.SIGTERM)

    async def stop(self, timeout: float) -> bool:
        """Wait for their end. A process that is left a while after ``timeout`` seconds is killed. False: one was."""
        self.ask_to_stop()
        if self._looking is not None:
            self._looking.cancel()
        if not self._keepers:
            return True
        _, late = await asyncio.wait(self._keepers, timeout=timeout + LINGER)
        for process in self._running.values():
            log.error("job process %d did not end in time: it is killed", process.pid)
            _signal(process, signal.SIGKILL)
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._keepers = []
        return not late

    async def _keep(self, number: int) -> None:
        loop = asyncio.get_running_loop()
        pause, starts = PAUSE, 0
        while not self._stopping.is_set():
            began, starts = loop.time(), starts + 1
            task = self._task(number, starts)
            process, line = await spawn(task)
            self._running[number] = process
            if self._stopping.is_set():
                _signal(process, signal.SIGTERM)
            try:
                code = await process.wait()
            finally:
                line.close()
                del self._running[number]
            if code:
                await self._reclaim(task.name)
                self._look()
            if self._stopping.is_set():
                return
            pause = PAUSE if loop.time() - began > YOUNG else min(pause * 2, LONGEST_PAUSE)
            self.restarts += 1
            log.warning("job process %d ended with code %d; starting it again", process.pid, code)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._stopping.wait()

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_for_taken())

    async def _look_for_taken(self) -> None:
        from hubq.jobs.reclaim import LIMBO, give_back_taken, taken

        try:
            if job_ids := await asyncio.to_thread(taken, self._hub):
                await asyncio.sleep(LIMBO)
                await asyncio.to_thread(give_back_taken, self._hub, job_ids)
        except Exception as error:
            log.warning("jobs that were taken and not begun are left to RQ's clean-up: %r", error)

    async def _reclaim(self, worker_name: str) -> None:
        from hubq.jobs.reclaim import reclaim  # only now: a node without jobs does without rq

        try:
            await asyncio.to_thread(reclaim, self._hub, worker_name)
        except Exception as error:
            log.warning("what %s had in hand is left to RQ's clean-up: %r", worker_name, error)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
