"""Real ``hubq`` processes on a real, private Redis."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import pytest

from hubq import Hub
from hubq.store.embedded import EmbeddedServer

APPS = Path(__file__).parent / "apps"
HUBQ = ("hubq",)
_numbers = count(1)


class WorkerProcess:
    """A ``hubq worker`` whose log is read line by line."""

    def __init__(
        self, arguments: list[str], environment: dict[str, str], cwd: Path = APPS, program: Sequence[str] = HUBQ
    ) -> None:  # fmt: skip
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._process = subprocess.Popen(
            [sys.executable, "-m", *program, "worker", *arguments],
            cwd=cwd, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                with self._news:
                    self.lines.append(line.rstrip())
                    self._news.notify_all()

    def wait_line(self, pattern: str, timeout: float = 60.0) -> re.Match[str]:
        """The first line of its log that matches."""

        def found() -> re.Match[str] | None:
            return next((match for line in self.lines if (match := re.search(pattern, line))), None)

        with self._news:
            match = self._news.wait_for(found, timeout)
            assert match is not None, f"no line {pattern!r} within {timeout:g} s in:\n" + "\n".join(self.lines)
            return match

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self, timeout: float = 15.0) -> int:
        """Wait for its end; its exit code."""
        code = self._process.wait(timeout)
        self._thread.join(timeout)
        return code

    def end(self) -> None:
        """Make sure that it has ended (its children too, if it is the parent of several)."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._thread.join(10.0)


class Shell:
    """Runs ``hubq`` in the directory of the test apps, against the hub of the test."""

    def __init__(self, hub_id: str, redis_url: str) -> None:
        self.hub_id = hub_id
        self.environment = {**os.environ, "HUBQ_TEST_HUB": hub_id, "HUBQ_REDIS_URL": redis_url, "COLUMNS": "200"}
        self.workers: list[WorkerProcess] = []

    def run(self, *arguments: str, cwd: Path = APPS) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "hubq", *arguments],
            cwd=cwd, env=self.environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def ok(self, *arguments: str, cwd: Path = APPS) -> str:
        """Run a command that must succeed; what it prints."""
        done = self.run(*arguments, cwd=cwd)
        assert (done.returncode, done.stderr) == (0, ""), f"{arguments}: {done.returncode} {done.stderr}"
        return done.stdout.strip()

    def fails(self, code: int, *arguments: str, cwd: Path = APPS) -> str:
        """Run a command that must fail with this exit code; the one line it prints."""
        done = self.run(*arguments, cwd=cwd)
        assert done.returncode == code, f"{arguments}: {done.returncode} {done.stderr}"
        (line,) = done.stderr.splitlines()
        assert line.startswith("hubq: ")
        return line

    def worker(self, name: str, *options: str) -> WorkerProcess:
        """Start a worker; returns once it has joined."""
        worker = self.spawn("basic:hub", "--name", name, *options)
        worker.wait_line(rf"hubq worker {name}: hub {self.hub_id} at redis://.*, 64 shards, pid \d+")
        return worker

    def spawn(self, *arguments: str, cwd: Path = APPS, program: Sequence[str] = HUBQ) -> WorkerProcess:
        """Start ``hubq worker`` with these arguments. ``program``: what stands for ``hubq``, as in ``python -m hubq``."""
        worker = WorkerProcess(list(arguments), self.environment, cwd, program)
        self.workers.append(worker)
        return worker


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedServer]:
    """One Redis for all acceptance tests; each has a hub of its own in it."""
    with EmbeddedServer() as server:
        yield server


@pytest.fixture
def hub_id() -> str:
    """A hub nobody used before."""
    return f"test-{os.getpid()}-{next(_numbers)}"


@pytest.fixture
def shell(redis_server: EmbeddedServer, hub_id: str) -> Iterator[Shell]:
    """A command line; the workers it started end with the test."""
    shell = Shell(hub_id, redis_server.url)
    yield shell
    for worker in shell.workers:
        worker.end()


@pytest.fixture
def hub(redis_server: EmbeddedServer, hub_id: str) -> Iterator[Hub]:
    """The hub of the test, as a web app would use it."""
    hub = Hub(hub_id, redis=redis_server.url)
    yield hub
    hub.close()
