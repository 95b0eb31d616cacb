"""Web servers of the tests, and the workers behind them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hubq.store.embedded import free_port

if TYPE_CHECKING:
    from .conftest import Shell, WorkerProcess

ROOT = Path(__file__).parents[2]


class Site:
    """A web server process, and requests to it."""

    def __init__(
        self, shell: Shell, *command: str, cwd: Path = ROOT, environment: dict[str, str] | None = None
    ) -> None:
        self.port = free_port()
        filled = [word.format(port=self.port) for word in command]
        self._process = subprocess.Popen(
            [sys.executable, "-m", *filled], cwd=cwd, env=environment or shell.environment, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._wait(within=60)  # a busy machine takes 20 s to import a web framework
        except BaseException:
            self.close()
            raise

    def _wait(self, within: float) -> None:
        until = time.monotonic() + within
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, f"the web server has ended with {self._process.returncode}"
            assert time.monotonic() < until, f"the web server did not start within {within:g} s"
            threading.Event().wait(0.05)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        made = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(made, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


@pytest.fixture
def sites() -> Iterator[list[Site]]:
    made: list[Site] = []
    yield made
    for site in made:
        site.close()


def workers(shell: Shell, app: str, *names: str) -> list[WorkerProcess]:
    found = [shell.spawn(app, "--name", name, cwd=ROOT) for name in names]
    for name, worker in zip(names, found, strict=True):
        worker.wait_line(f"hubq worker {name}: ")
    return found


def replaced(shell: Shell, app: str, old: list[WorkerProcess]) -> None:
    """Replace all workers, one by one, as a deploy does."""
    for n, worker in enumerate(old):
        workers(shell, app, f"new-{n}")
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0


@contextmanager
def customers(number: int, ask: Callable[[int], None]) -> Iterator[None]:
    """So many threads that ask again and again while the block runs, each with its number."""
    ended = threading.Event()

    def customer(n: int) -> None:
        while not ended.is_set():
            ask(n)

    threads = [threading.Thread(target=customer, args=[n]) for n in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
