"""A primary, a replica and a Sentinel, each a process."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import redis

from hubq.store.embedded import find_server, free_port, is_served_by

SERVICE = "main"
#: How long the primary may be silent before Sentinel calls it down, ms.
DOWN_AFTER = 600
#: How many ports are tried for one of them: somebody else may take one between its choice and its use.
TRIES = 5


class Failover:
    """``with Failover() as servers``: a primary with one replica in step, watched by one Sentinel."""

    def __init__(self) -> None:
        #: Known once they run.
        self.primary_port = self.replica_port = self.sentinel_port = 0
        self._directory = tempfile.TemporaryDirectory(prefix="hubq-failover-")
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """What workers and clients are told."""
        return f"redis+sentinel://127.0.0.1:{self.sentinel_port}/{SERVICE}/0"

    def __enter__(self) -> Failover:
        try:
            self.primary_port = self.start()
            self.replica_port = self.start("--replicaof", "127.0.0.1", str(self.primary_port))
            until(lambda: self.info(self.replica_port)["master_link_status"] == "up", "the replica is in step")
            self.sentinel_port = self._somewhere(self._start_sentinel)
            until(self._sentinel_knows, "the Sentinel knows the replica")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End all processes."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._directory.cleanup()

    def client(self, port: int) -> redis.Redis:
        """A client of one of the servers."""
        return redis.Redis(port=port, socket_timeout=5.0, decode_responses=True)

    def info(self, port: int) -> dict[str, str]:
        """INFO replication of one of the servers."""
        with self.client(port) as client:
            found: dict[str, str] = client.info("replication")
            return found

    def stop_replication(self) -> None:
        """What the primary acknowledges from now on reaches no replica."""
        with self.client(self.primary_port) as client:
            client.execute_command("ACL", "SETUSER", "default", "-psync", "-sync", "-replconf")
            client.execute_command("CLIENT", "KILL", "TYPE", "replica")
            until(lambda: client.info("replication")["connected_slaves"] == 0, "no replica is connected")

    def kill_primary(self) -> None:
        """SIGKILL; the Sentinel promotes the replica."""
        process = self._processes[self.primary_port]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def promoted(self) -> bool:
        """Whether the replica is the primary now."""
        return self.info(self.replica_port)["role"] == "master"

    def start(self, *options: str) -> int:
        """Start one more server; returns its port, once it answers there."""
        return self._somewhere(lambda port: self._start_server(port, options))

    def _start_server(self, port: int, options: tuple[str, ...]) -> bool:
        directory = Path(self._directory.name, str(port))
        directory.mkdir(exist_ok=True)
        common = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory), "--save", ""]
        return self._run(port, [*common, "--repl-diskless-sync-delay", "0", *options])

    def _start_sentinel(self, port: int) -> bool:
        config = Path(self._directory.name, "sentinel.conf")
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self._directory.name}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.primary_port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}\nsentinel failover-timeout {SERVICE} 3000\n"
        )
        return self._run(port, [str(config), "--sentinel"])

    def _somewhere(self, start: Callable[[int], bool]) -> int:
        for _ in range(TRIES):
            port = free_port()
            if start(port):
                return port
        raise AssertionError(f"{TRIES} ports were taken by somebody else, one after another")

    def _run(self, port: int, arguments: list[str]) -> bool:
        """Whether it serves; ``False`` if somebody else has its port."""
        binary, _ = find_server()
        assert binary is not None
        log = Path(self._directory.name, f"{port}.log")
        with log.open("wb") as out:
            process = subprocess.Popen([binary, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self._processes[port] = process
        until(lambda: process.poll() is not None or is_served_by(port, process.pid), f"{binary} answers on port {port}")
        if process.poll() is None:
            return True
        said = log.read_text()
        assert "in use" in said, f"{binary} {' '.join(arguments)} ended with {process.returncode}: {said}"
        return False

    def _sentinel_knows(self) -> bool:
        with self.client(self.sentinel_port) as client:
            replicas = client.execute_command("SENTINEL", "REPLICAS", SERVICE)
            return len(replicas) == 1


def until(condition: Callable[[], bool], what: str, within: float = 20.0) -> None:
    """Wait for a server to get there."""
    give_up = time.monotonic() + within
    while not condition():
        assert time.monotonic() < give_up, f"not within {within:g} s: {what}"
        time.sleep(0.02)
