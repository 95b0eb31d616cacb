"""What the nodes of a Redis Cluster on this machine say of it: who has which slots, who follows whom, and whether they agree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import redis

from hubq.errors import RedisUnavailable
from hubq.store.cluster_processes import ClusterProcesses
from hubq.store.slots import slot_of

#: The slots of a Redis Cluster.
SLOTS = 16_384


class ClusterView:
    """Asks the nodes. It changes nothing."""

    def __init__(self, processes: ClusterProcesses) -> None:
        self._processes = processes
        self._clients: dict[int, Any] = {}

    def hang_up(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client.close()

    def awake(self) -> list[int]:
        """The ports of the nodes that run, and are not frozen."""
        return self._processes.awake()

    def ask(self, port: int, command: str, *args: str | int) -> Any:
        """What a node answers to a command, raw but for its text."""
        if port not in self._clients:
            client: Any = redis.Redis(port=port, socket_timeout=5.0, decode_responses=True)
            client.response_callbacks = {}
            self._clients[port] = client
        return self._clients[port].execute_command(*command.split(), *args)

    def ask_all(self, port: int, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        """Several commands at once."""
        self.ask(port, "PING")
        with self._clients[port].pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            answers: list[Any] = pipe.execute()
            return answers

    def owner(self, slot: int, asked: int | None = None) -> int:
        """The port of the primary that has a slot, as one node sees it."""
        for first, last, primary, *_ in self.ask(asked or self.awake()[0], "CLUSTER SLOTS"):
            if first <= slot <= last:
                return int(primary[1])
        raise RedisUnavailable(f"nobody has slot {slot}")

    def owner_of(self, hub_id: str) -> int:
        """The port of the primary that has a hub."""
        return self.owner(slot_of(hub_id))

    def serving(self) -> list[int]:
        """The ports of the primaries that have slots, as a node sees them that is awake."""
        return list(dict.fromkeys(int(primary[1]) for _, _, primary, *_ in self.ask(self.awake()[0], "CLUSTER SLOTS")))

    def slots_of(self, port: int, asked: int | None = None) -> list[int]:
        """The slots that a primary has, as one node sees it."""
        parts = self.ask(asked or self.awake()[0], "CLUSTER SLOTS")
        return [
            slot for first, last, primary, *_ in parts if int(primary[1]) == port for slot in range(first, last + 1)
        ]

    def replica_of(self, port: int) -> int | None:
        """The port of a replica of a primary."""
        own = self.id_of(port)
        for _, address, flags, of, *_ in self.nodes_of(self.awake()[0]):
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

    def owners(self, asked: int) -> dict[int, int]:
        """The port of the primary of each slot that has one, as one node sees it."""
        return {
            slot: int(primary[1])
            for first, last, primary, *_ in self.ask(asked, "CLUSTER SLOTS")
            for slot in range(first, last + 1)
        }

    def differences(self) -> str:
        """Why the nodes do not yet take commands, or who does not say what the first one says; '' if all is well."""
        awake = self.awake()
        for port in awake:
            said = self.ask(port, "CLUSTER INFO")
            if not is_whole(said):
                return f"{port} says {said.split()[:2]}"
        seen = {
            port: {(begin, end, int(primary[1])) for begin, end, primary, *_ in self.ask(port, "CLUSTER SLOTS")}
            for port in awake
        }
        first = seen[awake[0]]
        for port, theirs in seen.items():
            if theirs != first:
                return f"{awake[0]} says {sorted(first - theirs)}, and {port} {sorted(theirs - first)}"
        for port in {port for _, _, port in first} & {*awake}:
            if "role:master" not in self.ask(port, "INFO replication"):
                return f"{port} has slots, and is a replica"
        return ""

    def id_of(self, port: int) -> str:
        """The id of a node."""
        return str(self.ask(port, "CLUSTER MYID"))

    def nodes_of(self, port: int) -> list[list[str]]:
        """The words that one node says of each."""
        return [line.split() for line in str(self.ask(port, "CLUSTER NODES")).splitlines() if line.strip()]

    def known_to(self, port: int) -> set[str]:
        """The ports of those that one node knows."""
        return {
            line[1].partition("@")[0].rpartition(":")[2] for line in self.nodes_of(port) if "handshake" not in line[2]
        }


def is_whole(said: str) -> bool:
    """Whether a node that says this in CLUSTER INFO takes commands, and knows an owner of each slot."""
    return "cluster_state:ok" in said and f"cluster_slots_assigned:{SLOTS}" in said


def _offset(whose: str, said: str) -> int:
    found = re.search(rf"{whose}_repl_offset:(\d+)", said)
    return int(found[1]) if found is not None else -1
