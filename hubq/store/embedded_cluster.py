"""A Redis Cluster of one's own for demos and tests: each node a process of this machine, gone when it is stopped."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import redis

from hubq.errors import RedisUnavailable
from hubq.store.embedded import find_server, is_served_by
from hubq.store.slots import slot_of

#: How long a node may be silent before the others call it down, ms.
NODE_TIMEOUT = 800
#: The slots of a Redis Cluster.
SLOTS = 16_384
#: How long the cluster may take to do what it was told, seconds: on a machine with much other work.
PATIENCE = 60.0
#: Nodes talk to one another by the port that is so much higher (Redis 6.2 knows no other). Both lie below those that a system gives to
#: connections (from 32,768 on): one of these may have the higher one at any moment.
BUS, LOWEST, HIGHEST = 10_000, 11_000, 22_500
#: How often another port is taken for a node that could not have its own.
TRIES = 5


class EmbeddedCluster:
    """``primaries`` nodes that share the slots evenly, each with so many ``replicas``.

    >>> with EmbeddedCluster(3) as cluster:  # doctest: +SKIP
    ...     hub = Hub("chat", redis=cluster.url)
    ...     cluster.move_slot(slot_of("chat"), cluster.primaries[0])
    """

    def __init__(self, primaries: int = 3, replicas: int = 0) -> None:
        binary, self.kind = find_server()
        if binary is None:
            raise RedisUnavailable(
                "a Redis Cluster needs a Redis: install redis-server, or `pip install hubq[embedded]`"
            )
        self._binary = binary
        self.ports = [_free_port() for _ in range(primaries * (1 + replicas))]
        self._count = primaries
        self._directory = tempfile.TemporaryDirectory(prefix="hubq-cluster-")
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._clients: dict[int, Any] = {}

    @property
    def url(self) -> str:
        """What workers and clients are told: all its nodes."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.ports)

    @property
    def primaries(self) -> list[int]:
        """The ports of those that began as primaries."""
        return self.ports[: self._count]

    def pids(self) -> list[int]:
        """Its processes that run."""
        return [process.pid for process in list(self._processes.values()) if process.poll() is None]

    def __enter__(self) -> EmbeddedCluster:
        try:
            for place in range(len(self.ports)):
                self._start_somewhere(place)
            self._join()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all nodes, and remove their files."""
        for client in self._clients.values():
            client.close()
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._directory.cleanup()

    # -- who has what ------------------------------------------------------------------------------------------------

    def ask(self, port: int, command: str, *args: str | int) -> Any:
        """What a node answers to a command, raw but for its text."""
        if port not in self._clients:
            client: Any = redis.Redis(port=port, socket_timeout=5.0, decode_responses=True)
            client.response_callbacks = {}
            self._clients[port] = client
        return self._clients[port].execute_command(*command.split(), *args)

    def owner(self, slot: int, asked: int | None = None) -> int:
        """The port of the primary that has a slot, as one node sees it."""
        for first, last, primary, *_ in self.ask(asked or self._awake()[0], "CLUSTER SLOTS"):
            if first <= slot <= last:
                return int(primary[1])
        raise RedisUnavailable(f"nobody has slot {slot}")

    def owner_of(self, hub_id: str) -> int:
        """The port of the primary that has a hub."""
        return self.owner(slot_of(hub_id))

    def serving(self) -> list[int]:
        """The ports of the primaries that have slots, as a node sees them that is awake."""
        return list(dict.fromkeys(int(primary[1]) for _, _, primary, *_ in self.ask(self._awake()[0], "CLUSTER SLOTS")))

    def slots_of(self, port: int, asked: int | None = None) -> list[int]:
        """The slots that a primary has, as one node sees it."""
        parts = self.ask(asked or self._awake()[0], "CLUSTER SLOTS")
        return [
            slot for first, last, primary, *_ in parts if int(primary[1]) == port for slot in range(first, last + 1)
        ]

    def replica_of(self, port: int) -> int | None:
        """The port of a replica of a primary."""
        own = self._id(port)
        for _, address, flags, of, *_ in self._nodes(self._awake()[0]):
            if of == own and "slave" in flags and "fail" not in flags:
                return int(address.partition("@")[0].rpartition(":")[2])
        return None

    def in_step(self, port: int) -> bool:
        """Whether a replica of this primary has all that it has confirmed."""
        replica = self.replica_of(port)
        if replica is None:
            return False
        confirmed, theirs = self.ask(port, "INFO replication"), self.ask(replica, "INFO replication")
        return "master_link_status:up" in theirs and _offset("slave", theirs) >= _offset("master", confirmed)

    # -- what is done to it ------------------------------------------------------------------------------------------

    def move_slot(self, slot: int, target: int, moved: Callable[[int], None] = lambda keys: None) -> int:
        """Move a slot key by key, as ``redis-cli --cluster reshard`` does; ``moved`` is told after each how many have gone. Returns
        how many there were, once all nodes know.
        """
        source, keys = self.owner(slot), 0
        target_id = self._id(target)
        self.ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", self._id(source))
        self.ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", target_id)
        while names := self.ask(source, "CLUSTER GETKEYSINSLOT", slot, 1):
            self.ask(source, "MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *names)
            keys += 1
            moved(keys)
        self.ask(target, "CLUSTER SETSLOT", slot, "NODE", target_id)
        with contextlib.suppress(redis.ResponseError):  # it has heard of it, and is a replica if that was its last slot
            self.ask(source, "CLUSTER SETSLOT", slot, "NODE", target_id)
        _until(lambda: all(self.owner(slot, port) == target for port in self._awake()), "all nodes know of the slot")
        return keys

    def give_empty(self, slots: Iterable[int], source: int, target: int) -> None:
        """Slots in which no keys are go to another primary; returns once all nodes know."""
        target_id, source_id, given = self._id(target), self._id(source), list(slots)
        # One that has imported a slot gets a newer epoch than all others, without which some never believe it.
        self._set_slots(target, given, "IMPORTING", source_id)
        for port in (target, *self.serving()):
            if port != source:  # the others tell it; one that has no slot any more is a replica from then on
                self._set_slots(port, given, "NODE", target_id)
        self.wait(
            lambda: all({*given} <= {*self.slots_of(target, port)} for port in self._awake()), "all know of the slots"
        )

    def _set_slots(self, port: int, slots: Iterable[int], what: str, node: str) -> None:
        with self._clients[port].pipeline(transaction=False) as pipe:
            for slot in slots:
                pipe.execute_command("CLUSTER", "SETSLOT", slot, what, node)
            pipe.execute()

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Until it holds. Raises :class:`~hubq.errors.RedisUnavailable` if it does not for long."""
        _until(holds, what)

    def wait_in_step(self, port: int) -> None:
        """Until a replica of this primary has what it has confirmed."""
        _until(lambda: self.in_step(port), f"a replica of {port} is in step")

    def wait_until_up(self) -> None:
        """Until all nodes that run take commands. (One that has just joined, or was promoted, takes none for two seconds.)"""
        _until(lambda: all(self._is_whole(port) for port in self._awake()), "all nodes take commands")

    def start_again(self, port: int) -> None:
        """A node that was killed comes again, as what the others make of it."""
        _until(lambda: self._start(port), f"{port} starts again")

    def add(self, of: int | None = None) -> int:
        """One node more, known to all: a primary without slots, or a replica ``of`` one. Its port."""
        known = self._awake()[0]
        self.ports.append(_free_port())
        self._start_somewhere(len(self.ports) - 1)
        port = self.ports[-1]
        self.ask(port, "CLUSTER MEET", "127.0.0.1", known)
        _until(lambda: all(str(port) in self._names(other) for other in self._awake()), f"all nodes know {port}")
        if of is not None:
            _until(lambda: self._id(of) in str(self.ask(port, "CLUSTER NODES")), f"{port} knows {of}")
            self.ask(port, "CLUSTER REPLICATE", self._id(of))
        return port

    def remove(self, port: int) -> None:
        """A node without slots leaves: the others forget it, and it ends."""
        own = self._id(port)
        self.kill(port)
        del self._processes[port]
        self.ports.remove(port)
        for other in self._awake():
            self.ask(other, "CLUSTER FORGET", own)

    def fail_over(self, port: int) -> None:
        """A replica that is in step takes the place of this primary, by command."""
        self.wait_in_step(port)
        replica = self.replica_of(port) or 0
        asked = 0.0

        def done() -> bool:
            nonlocal asked
            if (
                time.monotonic() > asked + 3 * NODE_TIMEOUT / 1000
            ):  # soon after another failover the primaries refuse to vote
                asked = time.monotonic()
                self.ask(replica, "CLUSTER FAILOVER")
            return "role:master" in self.ask(replica, "INFO replication")

        _until(done, f"{replica} is primary instead of {port}")

    def kill(self, port: int) -> None:
        """SIGKILL a node."""
        self._processes[port].kill()
        self._processes[port].wait()

    def freeze(self, port: int) -> None:
        """SIGSTOP a node."""
        os.kill(self._processes[port].pid, signal.SIGSTOP)

    def thaw(self, port: int) -> None:
        """SIGCONT a node."""
        os.kill(self._processes[port].pid, signal.SIGCONT)

    # -- how it is made ----------------------------------------------------------------------------------------------

    def _start_somewhere(self, place: int) -> None:
        for _ in range(TRIES):
            if self._start(self.ports[place]):
                return
            del self._processes[self.ports[place]]
            self.ports[place] = _free_port()  # somebody else has taken the one before meanwhile
        raise RedisUnavailable(f"{self._binary} does not start: it ended on each of {TRIES} ports")

    def _start(self, port: int) -> bool:
        directory = Path(self._directory.name, str(port))
        directory.mkdir(exist_ok=True)
        log = directory / "log"
        options = {
            "port": port, "bind": "127.0.0.1", "dir": directory, "save": "", "appendonly": "no", "logfile": log,
            "cluster-enabled": "yes", "cluster-config-file": "nodes.conf", "cluster-node-timeout": NODE_TIMEOUT,
            "cluster-require-full-coverage": "no", "repl-diskless-sync-delay": 0,
        }  # fmt: skip
        arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        self._processes[port] = subprocess.Popen(
            [self._binary, *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        process = self._processes[port]
        _until(
            lambda: process.poll() is not None or is_served_by(port, process.pid),
            f"{self._binary} answers on port {port}",
        )
        return process.poll() is None

    def _join(self) -> None:
        primaries, ports = self.primaries, self.ports
        bounds = [SLOTS * number // len(primaries) for number in range(len(primaries) + 1)]
        for number, port in enumerate(ports):
            self.ask(port, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for number, port in enumerate(primaries):
            self.ask(port, "CLUSTER ADDSLOTS", *range(bounds[number], bounds[number + 1]))
        for port in ports[1:]:
            self.ask(ports[0], "CLUSTER MEET", "127.0.0.1", port)
        _until(lambda: all(len(self._nodes(port)) == len(ports) for port in ports), "all nodes know one another")
        for place, port in enumerate(ports[len(primaries) :]):
            self.ask(port, "CLUSTER REPLICATE", self._id(primaries[place % len(primaries)]))
        _until(lambda: all(map(self._is_whole, ports)), "the cluster is whole")
        with_replicas = primaries if len(ports) > len(primaries) else []
        _until(lambda: all(map(self.in_step, with_replicas)), "replicas are in step")

    def _is_whole(self, port: int) -> bool:
        said = self.ask(port, "CLUSTER INFO")
        return "cluster_state:ok" in said and f"cluster_slots_assigned:{SLOTS}" in said

    def _id(self, port: int) -> str:
        return str(self.ask(port, "CLUSTER MYID"))

    def _nodes(self, port: int) -> list[list[str]]:
        return [line.split() for line in str(self.ask(port, "CLUSTER NODES")).splitlines() if line.strip()]

    def _names(self, port: int) -> set[str]:
        return {
            line[1].partition("@")[0].rpartition(":")[2] for line in self._nodes(port) if "handshake" not in line[2]
        }

    def _awake(self) -> list[int]:
        return [port for port, process in self._processes.items() if process.poll() is None and _runs(process.pid)]


def _free_port() -> int:
    while True:
        port = random.randrange(LOWEST, HIGHEST)
        with socket.socket() as own, socket.socket() as bus, contextlib.suppress(OSError):
            own.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + BUS))
            return port


def _runs(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "T"


def _offset(whose: str, said: str) -> int:
    found = re.search(rf"{whose}_repl_offset:(\d+)", said)
    return int(found[1]) if found is not None else -1


def _holds(condition: Callable[[], bool]) -> bool:
    try:
        return condition()
    except redis.RedisError:  # a node that has just been woken, or is busy, may not answer in time
        return False


def _until(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while not _holds(holds):
        if time.monotonic() > give_up:
            raise RedisUnavailable(f"not within {PATIENCE:g} s: {what}")
        time.sleep(0.02)
