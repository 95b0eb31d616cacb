"""What the nodes of a Redis Cluster say of themselves during a run: kept beside the workers' logs if it has a breach."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from hubq.store.embedded_cluster import EmbeddedCluster

#: How often the nodes are asked, seconds.
PAUSE = 0.1


class ClusterDiary:
    """A line in ``path`` for each change: of which groups a node says that they are its own, as what, and in which epoch.

    ``slots``: in which each group of the hub lives.
    """

    def __init__(self, cluster: EmbeddedCluster, slots: Sequence[int], path: Path) -> None:
        self._cluster = cluster
        self._slots = slots
        self._path = path
        self._lock = threading.Lock()
        self._clients: dict[int, redis.Redis] = {}
        self._said: dict[int, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos diary")
        self._thread.start()

    def write(self, line: str) -> None:
        """Something that somebody else knows."""
        now = time.time()
        at = time.strftime("%H:%M:%S", time.localtime(now))
        with self._lock, self._path.open("a") as diary:
            diary.write(f"{at}.{int(now * 1000) % 1000:03} {line}\n")

    def write_all(self) -> None:
        """All that each node says of all others."""
        for port, client in list(self._clients.items()):
            with contextlib.suppress(redis.RedisError):
                for line in str(client.execute_command("CLUSTER NODES")).splitlines():
                    self.write(f"{port} knows {line}")

    def close(self) -> None:
        """No more of it."""
        self._ended.set()
        self._thread.join()
        for client in self._clients.values():
            client.close()

    def _run(self) -> None:
        while not self._ended.wait(PAUSE):
            awake = self._cluster.awake()
            for port in {*self._said} - {*awake}:
                self._note(port, "does not run")
            for port in awake:
                try:
                    self._note(port, self._of(port))
                except redis.RedisError as error:
                    self._note(port, f"does not answer: {type(error).__name__}")

    def _note(self, port: int, said: str) -> None:
        if self._said.get(port) != said:
            self._said[port] = said
            self.write(f"{port} {said}")

    def _of(self, port: int) -> str:
        if port not in self._clients:
            self._clients[port] = redis.Redis(
                port=port, socket_timeout=1.0, retry=Retry(NoBackoff(), 0), decode_responses=True
            )
            self._clients[port].set_response_callback("CLUSTER NODES", lambda answer, **_: answer)
        lines = [line.split() for line in str(self._clients[port].execute_command("CLUSTER NODES")).splitlines()]
        own = next(line for line in lines if "myself" in line[2])
        others = " ".join(
            f"{line[1].partition('@')[0].rpartition(':')[2]}:{line[2]}:{line[6]}{self._groups(line[8:])}"
            for line in sorted(lines, key=lambda line: line[1])
            if line is not own and ("master" in line[2] or "fail" in line[2])
        )
        of = {line[0]: line[1].partition("@")[0].rpartition(":")[2] for line in lines}.get(own[3], "")
        moving = [word[:10] for word in own[8:] if word.startswith("[")][:6]
        return (
            f"{own[2].removeprefix('myself,')} {of} epoch {own[6]} groups {self._groups(own[8:])} {moving} | {others}"
        )

    def _groups(self, ranges: Sequence[str]) -> str:
        bounds = [(int(word.partition("-")[0]), int(word.rpartition("-")[2])) for word in ranges if word[0] != "["]
        groups = [group for group, slot in enumerate(self._slots) if any(low <= slot <= high for low, high in bounds)]
        return f"{groups}+{sum(high - low + 1 for low, high in bounds)}"
