"""The processes of the demo: workers and feeders, each started, listened to, and ended for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

import msgspec

from hubq.cli.demo_child import GROUPS, HUB_ID
from hubq.cli.demo_feed import Ledger, Progress, Task

_Lines = msgspec.json.Decoder(Progress | Ledger)


class Feed:
    """A feeder process, and what it has told so far."""

    def __init__(self, task: Task, process: subprocess.Popen[bytes]) -> None:
        self.task = task
        self.process = process
        self.progress = Progress(task.feeder, 0, task.chunks * task.buckets)
        self.ledger: Ledger | None = None
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = _Lines.decode(line)
            if isinstance(told, Ledger):
                self.ledger = told
            else:
                self.progress = told

    @property
    def ended(self) -> bool:
        """Whether the process has ended and all it told has been heard."""
        return self.process.poll() is not None and not self._listener.is_alive()


class Crew:
    """All processes of one demo. Leaving the context ends every one of them."""

    def __init__(self, hub_id: str, redis: str, groups: int) -> None:
        told = {"HUBQ_REDIS_URL": redis, HUB_ID: hub_id, GROUPS: str(groups), "PYTHONUNBUFFERED": "1"}
        self._environment = {**os.environ, **told}
        self._folder = tempfile.TemporaryDirectory(prefix="hubq-demo-")
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.feeds: list[Feed] = []

    def __enter__(self) -> Crew:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.end(patience=10.0 if kind is None else 1.0)
        except BaseException:  # a second Ctrl-C
            self.end(patience=0.0)
            raise
        finally:
            self._folder.cleanup()

    def _log(self, name: str) -> Path:
        return Path(self._folder.name, f"{name}.log")

    def start_worker(self, name: str) -> None:
        """Start a worker; its log goes to a file."""
        command = [sys.executable, "-m", "hubq", "worker", "hubq.cli.demo_app:hub", "--name", name]
        with self._log(name).open("ab") as log:
            self.workers[name] = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def start_feed(self, task: Task) -> None:
        """Start a feeder."""
        command = [sys.executable, "-m", "hubq.cli.demo_feed", msgspec.json.encode(task).decode()]
        with self._log(f"feeder-{task.feeder}").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self.feeds.append(Feed(task, process))

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a worker a signal."""
        self.workers[name].send_signal(number)

    def fallen(self, expected: set[str]) -> list[str]:
        """Processes that ended though they should not have: workers not in ``expected``, and feeders that failed."""
        workers = [name for name, it in self.workers.items() if it.poll() is not None and name not in expected]
        return workers + [f"feeder-{it.task.feeder}" for it in self.feeds if it.ended and it.ledger is None]

    def logs(self, lines: int = 25) -> str:
        """The ends of all logs, for people."""
        parts: list[str] = []
        for path in sorted(Path(self._folder.name).glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            if tail:
                parts.append("\n".join([f"--- {path.stem}", *tail]))
        return "".join(f"{part}\n" for part in parts)

    def end(self, patience: float) -> None:
        """End every process: politely, and by force once patience is over."""
        processes = [*self.workers.values(), *(feed.process for feed in self.feeds)]
        for process in processes:
            if process.poll() is None:
                process.terminate()
        until = time.monotonic() + patience
        for process in processes:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for feed in self.feeds:
            feed._listener.join(1.0)
            if feed.process.stdout is not None:
                feed.process.stdout.close()
