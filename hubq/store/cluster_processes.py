"""The processes of a Redis Cluster on this machine: they are started on ports of their own, killed, frozen and woken."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import redis

from hubq.errors import RedisUnavailable
from hubq.store.embedded import is_served_by

#: How long a node may be silent before the others call it down, ms.
NODE_TIMEOUT = 800
#: How long the cluster may take to do what it was told, seconds: on a machine with much other work.
PATIENCE = 60.0
#: Nodes talk to one another by the port that is so much higher (Redis 6.2 knows no other). Both lie below those that a system gives to
#: connections (from 32,768 on): one of these may have the higher one at any moment.
BUS, LOWEST, HIGHEST = 10_000, 11_000, 22_500
#: How often another port is taken for a node that could not have its own.
TRIES = 5


class ClusterProcesses:
    """The nodes of a cluster, by port. They know nothing of one another."""

    def __init__(self, binary: str) -> None:
        self._binary = binary
        self._directory = tempfile.TemporaryDirectory(prefix="hubq-cluster-")
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def pids(self) -> list[int]:
        """Those that run."""
        return [process.pid for process in list(self._processes.values()) if process.poll() is None]

    def awake(self) -> list[int]:
        """The ports of those that run, and are not frozen."""
        return [port for port, process in self._processes.items() if process.poll() is None and _runs(process.pid)]

    def logs(self) -> dict[int, str]:
        """What each has written into its log, by port; those that were removed too."""
        logs = Path(self._directory.name).glob("*/log")
        return {int(log.parent.name): log.read_text(errors="replace") for log in logs}

    def start_somewhere(self, port: int) -> int:
        """Start one on this port, or on another one if somebody has taken it meanwhile. Its port."""
        for _ in range(TRIES):
            if self.start(port):
                return port
            del self._processes[port]
            port = free_port()
        raise RedisUnavailable(f"{self._binary} does not start: it ended on each of {TRIES} ports")

    def start(self, port: int) -> bool:
        """Start one on this port, with the files that it has left there. False: it has ended at once."""
        directory = Path(self._directory.name, str(port))
        directory.mkdir(exist_ok=True)
        log = directory / "log"
        options = {
            "port": port, "bind": "127.0.0.1", "dir": directory, "save": "", "appendonly": "no", "logfile": log,
            "cluster-enabled": "yes", "cluster-config-file": "nodes.conf", "cluster-node-timeout": NODE_TIMEOUT,
            "cluster-require-full-coverage": "no", "repl-diskless-sync-delay": 0,
        }  # fmt: skip
        arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        process = self._processes[port] = subprocess.Popen(
            [self._binary, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        until(
            lambda: process.poll() is not None or is_served_by(port, process.pid),
            f"{self._binary} answers on port {port}",
        )
        return process.poll() is None

    def kill(self, port: int) -> None:
        """SIGKILL one."""
        self._processes[port].kill()
        self._processes[port].wait()

    def freeze(self, port: int) -> None:
        """SIGSTOP one; returns once it stands still."""
        pid = self._processes[port].pid
        os.kill(pid, signal.SIGSTOP)
        until(lambda: not _runs(pid), f"{port} stands still")

    def thaw(self, port: int) -> None:
        """SIGCONT one."""
        os.kill(self._processes[port].pid, signal.SIGCONT)

    def remove(self, port: int) -> None:
        """End one that is not started again."""
        self.kill(port)
        del self._processes[port]

    def stop(self) -> None:
        """End all, and remove their files."""
        for port in self._processes:
            self.kill(port)
        self._directory.cleanup()


def free_port() -> int:
    """A port that nobody has, and nobody the one by which nodes talk."""
    while True:
        port = random.randrange(LOWEST, HIGHEST)
        with socket.socket() as own, socket.socket() as bus, contextlib.suppress(OSError):
            own.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + BUS))
            return port


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "T"


def _missing(condition: Callable[[], bool | str]) -> str | None:
    """What is missing as the condition says it, '' if it only says that something is; None if it holds."""
    try:
        said = condition()
    except redis.RedisError as error:  # a node that has just been woken, or is busy, may not answer in time
        return f"{type(error).__name__}: {error}"
    return said if isinstance(said, str) and said else None if said is True or said == "" else ""


def until(holds: Callable[[], bool | str], what: str) -> None:
    """Wait until it holds: it says True, or with no words what is missing. Raises :class:`~hubq.errors.RedisUnavailable` if it does not
    for long.
    """
    give_up = time.monotonic() + PATIENCE
    while (missing := _missing(holds)) is not None:
        if time.monotonic() > give_up:
            raise RedisUnavailable(f"not within {PATIENCE:g} s: {what}" + (f" ({missing})" if missing else ""))
        time.sleep(0.02)
