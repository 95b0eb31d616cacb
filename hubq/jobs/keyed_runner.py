"""The processes in which a node runs jobs of keys: as many at a time as it has, each job in one of them.

They are kept between jobs. A job that is interrupted (its shard moves and ``retention`` is over, or its node ends) takes its
process with it, so that it has certainly ended when the next node begins it anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading

import msgspec

from hubq.client.current import current_hub
from hubq.client.hub import Hub
from hubq.core.job_names import name_in_rq
from hubq.jobs.keyed_work import KeyedQueue, KeyedThread, KeyedWorker, fail, perform
from hubq.jobs.processes import spawn
from hubq.jobs.serializer import serializer_of
from hubq.jobs.task import Task, task_for
from hubq.store.connection import ANSWER_TIMEOUT, RedisServer

log = logging.getLogger("hubq.jobs")

#: Pause before another try when the fault is not the job's (Redis is away, no process can be started), seconds.
PAUSE = 0.5


class _OfThread(threading.local):
    """The worker of each thread."""

    worker: KeyedWorker | None = None

    def keep(self, worker: KeyedWorker) -> None:
        self.worker = worker


class Runner:
    """Runs jobs of keys for the nodes of one event loop."""

    def __init__(self, hub: Hub, node_name: str) -> None:
        self._hub = hub
        self._name = node_name
        self._room = asyncio.Semaphore(hub.config.key_processes)
        self._idle: list[_Slot] = []
        self._slots: set[_Slot] = set()
        self._started = 0
        self._own = _OfThread()
        self._in_threads = not isinstance(hub.server, RedisServer)

    async def run(self, job_id: str) -> None:
        """Run a job to its end. A cancellation ends it, and returns when it has certainly ended."""
        async with self._room:
            wait = await self._until_answered(job_id)
        while wait is not None:
            await asyncio.sleep(wait)
            async with self._room:
                wait = await self._until_answered(job_id)

    async def _until_answered(self, job_id: str) -> float | None:
        # An error raised here would end the message, and with it the job.
        while True:
            try:
                if self._in_threads:
                    return await asyncio.to_thread(lambda: perform(self._worker(), job_id))
                return await self._in_process(job_id)
            except Exception as error:
                log.warning("job %s waits: %r", job_id, error)
            await asyncio.sleep(PAUSE)

    async def _in_process(self, job_id: str) -> float | None:
        slot = self._idle.pop() if self._idle else await self._new_slot()
        try:
            answer = await slot.ask(job_id)
        except BaseException:
            self._slots.discard(slot)
            await slot.kill()
            raise
        if answer is None:
            self._slots.discard(slot)
            code = await slot.ended()
            why = f"Work-horse terminated unexpectedly; the process that ran the job ended with code {code}"
            log.warning("job %s: %s", job_id, why)
            return await asyncio.to_thread(lambda: fail(self._worker(), job_id, why))
        self._idle.append(slot)
        return answer.again

    def _worker(self) -> KeyedWorker:
        """The one of this thread: RQ's are not made to be shared."""
        worker = self._own.worker
        if worker is None:
            connection = self._hub.jobs_server.sync_client(ANSWER_TIMEOUT)
            queue = KeyedQueue(self._hub.queue_name, connection=connection, serializer=serializer_of(self._hub))
            name = name_in_rq(self._hub.hub_id, f"{self._name}.thread-{os.getpid()}-{threading.get_ident()}")
            worker = KeyedThread([queue], name=name, connection=connection, serializer=queue.serializer)
            self._own.keep(worker)
        return worker

    async def _new_slot(self) -> _Slot:
        self._started += 1
        name = name_in_rq(self._hub.hub_id, f"{self._name}.key-{os.getpid()}.{self._started}")
        task = task_for(self._hub, "keys", name, app=self._hub.app, grace=0.0)
        slot = await _Slot.start(task)
        self._slots.add(slot)
        return slot

    async def close(self) -> None:
        """End all processes."""
        slots, self._slots, self._idle = self._slots, set(), []
        await asyncio.gather(*(slot.close() for slot in slots))


class Answer(msgspec.Struct, frozen=True):
    """The answer of a process about a job. ``again``: None, it has ended; else try it again after so many seconds."""

    again: float | None


class _Slot:
    """One process, and the line to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, told: asyncio.StreamReader, line: asyncio.StreamWriter
    ) -> None:
        self._process = process
        self._told = told
        self._line = line

    @classmethod
    async def start(cls, task: Task) -> _Slot:
        process, ours = await spawn(task)
        return cls(process, *await asyncio.open_connection(sock=ours))

    async def ask(self, job_id: str) -> Answer | None:
        """The answer; None if the process has died instead."""
        try:
            self._line.write(job_id.encode() + b"\n")
            await self._line.drain()
            said = await self._told.readline()
        except ConnectionError:
            return None
        return msgspec.json.decode(said, type=Answer) if said.endswith(b"\n") else None

    async def ended(self) -> int:
        await self._hang_up()
        return await self._process.wait()

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self.ended()

    async def close(self) -> None:
        """Idle processes end when the line closes; one that is at work ends, too."""
        await self.ended()

    async def _hang_up(self) -> None:
        self._line.close()
        with contextlib.suppress(ConnectionError):
            await self._line.wait_closed()


def runner_of(node_name: str) -> Runner:
    """The runner for the current hub and event loop; it ends with ``hub.aio.close()``."""
    hub = current_hub()
    runner: Runner = hub.aio.resource("keyed jobs", lambda: Runner(hub, node_name))
    return runner
