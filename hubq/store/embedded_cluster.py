"""A Redis Cluster of one's own for demos and tests: each node a process of this machine, gone when it is stopped."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

import redis

from hubq.errors import RedisUnavailable
from hubq.store.cluster_processes import NODE_TIMEOUT, ClusterProcesses, free_port, until
from hubq.store.embedded import find_server
from hubq.store.slots import slot_of

#: The slots of a Redis Cluster.
SLOTS = 16_384


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
        self.ports = [free_port() for _ in range(primaries * (1 + replicas))]
        self._count = primaries
        self._processes = ClusterProcesses(binary)
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
        return self._processes.pids()

    def __enter__(self) -> EmbeddedCluster:
        try:
            self.ports = [self._processes.start_somewhere(port) for port in self.ports]
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
        self._processes.stop()

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
        for first, last, primary, *_ in self.ask(asked or self._processes.awake()[0], "CLUSTER SLOTS"):
            if first <= slot <= last:
                return int(primary[1])
        raise RedisUnavailable(f"nobody has slot {slot}")

    def owner_of(self, hub_id: str) -> int:
        """The port of the primary that has a hub."""
        return self.owner(slot_of(hub_id))

    def serving(self) -> list[int]:
        """The ports of the primaries that have slots, as a node sees them that is awake."""
        return list(
            dict.fromkeys(
                int(primary[1]) for _, _, primary, *_ in self.ask(self._processes.awake()[0], "CLUSTER SLOTS")
            )
        )

    def slots_of(self, port: int, asked: int | None = None) -> list[int]:
        """The slots that a primary has, as one node sees it."""
        parts = self.ask(asked or self._processes.awake()[0], "CLUSTER SLOTS")
        return [
            slot for first, last, primary, *_ in parts if int(primary[1]) == port for slot in range(first, last + 1)
        ]

    def replica_of(self, port: int) -> int | None:
        """The port of a replica of a primary."""
        own = self._id(port)
        for _, address, flags, of, *_ in self._nodes(self._processes.awake()[0]):
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
        until(
            lambda: all(self.owner(slot, port) == target for port in self._processes.awake()),
            "all nodes know of the slot",
        )
        return keys

    def settle_slot(self, slot: int) -> None:
        """End a move of a slot that was interrupted: all of its keys go to the one that has it."""
        owner, awake = self.owner(slot), self._processes.awake()
        self.ask(owner, "CLUSTER SETSLOT", slot, "STABLE")
        for port in [port for port in awake if port != owner and f"[{slot}-<-" in self.ask(port, "CLUSTER NODES")]:
            while names := self.ask(port, "CLUSTER GETKEYSINSLOT", slot, 100):
                self.ask(port, "MIGRATE", "127.0.0.1", owner, "", 0, 5000, "REPLACE", "KEYS", *names)
            self.ask(port, "CLUSTER SETSLOT", slot, "STABLE")

    def give_empty(self, slots: Iterable[int], source: int, target: int) -> None:
        """Slots in which no keys are go to another primary; returns once all nodes know."""
        target_id, source_id, given = self._id(target), self._id(source), list(slots)
        # One that has imported a slot gets a newer epoch than all others, without which some never believe it.
        self._set_slots(target, given, "IMPORTING", source_id)
        for port in (target, *self.serving()):
            if port != source:  # the others tell it; one that has no slot any more is a replica from then on
                self._set_slots(port, given, "NODE", target_id)
        self.wait(
            lambda: all({*given} <= {*self.slots_of(target, port)} for port in self._processes.awake()),
            "all know of the slots",
        )

    def _set_slots(self, port: int, slots: Iterable[int], what: str, node: str) -> None:
        with self._clients[port].pipeline(transaction=False) as pipe:
            for slot in slots:
                pipe.execute_command("CLUSTER", "SETSLOT", slot, what, node)
            pipe.execute()

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Until it holds. Raises :class:`~hubq.errors.RedisUnavailable` if it does not for long."""
        until(holds, what)

    def wait_in_step(self, port: int) -> None:
        """Until a replica of this primary has what it has confirmed."""
        until(lambda: self.in_step(port), f"a replica of {port} is in step")

    def wait_until_up(self) -> None:
        """Until all nodes that run take commands, and agree on who has which slots. (One that has just joined, or was promoted, takes
        none for two seconds.)
        """
        until(self._agrees, "all nodes take commands, and agree on who has which slots")

    def start_again(self, port: int) -> None:
        """A node that was killed comes again, as what the others make of it."""
        until(lambda: self._processes.start(port), f"{port} starts again")

    def add(self, of: int | None = None) -> int:
        """One node more, known to all: a primary without slots, or a replica ``of`` one. Its port."""
        known = self._processes.awake()[0]
        port = self._processes.start_somewhere(free_port())
        self.ports.append(port)
        self.ask(port, "CLUSTER MEET", "127.0.0.1", known)
        until(
            lambda: all(str(port) in self._names(other) for other in self._processes.awake()), f"all nodes know {port}"
        )
        if of is not None:
            until(lambda: self._id(of) in str(self.ask(port, "CLUSTER NODES")), f"{port} knows {of}")
            self.ask(port, "CLUSTER REPLICATE", self._id(of))
        return port

    def remove(self, port: int) -> None:
        """A node without slots leaves: the others forget it, and it ends."""
        own = self._id(port)
        self._processes.remove(port)
        self.ports.remove(port)
        for other in self._processes.awake():
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

        until(done, f"{replica} is primary instead of {port}")

    def kill(self, port: int) -> None:
        """SIGKILL a node."""
        self._processes.kill(port)

    def freeze(self, port: int) -> None:
        """SIGSTOP a node."""
        self._processes.freeze(port)

    def thaw(self, port: int) -> None:
        """SIGCONT a node."""
        self._processes.thaw(port)

    # -- how it is made ----------------------------------------------------------------------------------------------

    def _join(self) -> None:
        primaries, ports = self.primaries, self.ports
        bounds = [SLOTS * number // len(primaries) for number in range(len(primaries) + 1)]
        for number, port in enumerate(ports):
            self.ask(port, "CLUSTER SET-CONFIG-EPOCH", number + 1)
        for number, port in enumerate(primaries):
            self.ask(port, "CLUSTER ADDSLOTS", *range(bounds[number], bounds[number + 1]))
        for port in ports[1:]:
            self.ask(ports[0], "CLUSTER MEET", "127.0.0.1", port)
        until(lambda: all(len(self._nodes(port)) == len(ports) for port in ports), "all nodes know one another")
        for place, port in enumerate(ports[len(primaries) :]):
            self.ask(port, "CLUSTER REPLICATE", self._id(primaries[place % len(primaries)]))
        until(lambda: all(map(self._is_whole, ports)), "the cluster is whole")
        with_replicas = primaries if len(ports) > len(primaries) else []
        until(lambda: all(map(self.in_step, with_replicas)), "replicas are in step")

    def _agrees(self) -> bool:
        awake = self._processes.awake()
        if not all(map(self._is_whole, awake)):
            return False
        first, *others = (
            {(begin, end, int(primary[1])) for begin, end, primary, *_ in self.ask(port, "CLUSTER SLOTS")}
            for port in awake
        )
        serving = {port for _, _, port in first} & {*awake}
        return all(other == first for other in others) and all(
            "role:master" in self.ask(port, "INFO replication") for port in serving
        )

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


def _offset(whose: str, said: str) -> int:
    found = re.search(rf"{whose}_repl_offset:(\d+)", said)
    return int(found[1]) if found is not None else -1
