"""What is done to a Redis Cluster while a hub is under load: slots move, primaries fail over, freeze, die, come and go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Full, Queue

from hubq.store.embedded_cluster import SLOTS, EmbeddedCluster

from .alibis import ALL, Alibis
from .plan import Fault

#: Faults that wait for the one that goes on.
MOST = 3


class ClusterFaults:
    """One fault after the other, in a thread. While ``MOST`` wait, no other is taken. ``slots``: those in which the hub lives.

    ``wrong``: what the cluster itself did not do as it should.
    """

    def __init__(self, cluster: EmbeddedCluster, slots: Sequence[int], alibis: Alibis) -> None:
        self.wrong: list[str] = []
        self._cluster = cluster
        self._slots = slots
        self._alibis = alibis
        self._waiting: Queue[Fault | None] = Queue(MOST)
        self._added: list[int] = []  # a primary and its replica
        self._acts: dict[str, Callable[[Fault], None]] = {
            "reshard": self._reshard, "failover": self._fail_over, "primary_kill": self._kill, "primary_freeze": self._freeze,
            "script_flush": self._flush, "grow": self._grow, "shrink": self._shrink,
        }  # fmt: skip
        self._work = threading.Thread(target=self._run, name="chaos cluster")
        self._work.start()

    def takes(self, kind: str) -> bool:
        """Whether this is one of its faults."""
        return kind in self._acts

    def throw(self, fault: Fault) -> bool:
        """Take it, if not too many wait; whether it has."""
        try:
            self._waiting.put_nowait(fault)
        except Full:
            return False
        return True

    def tick(self, *, everything: bool) -> None:
        """Wait for what was taken, if everything is to end."""
        if everything:
            self._waiting.join()

    def close(self) -> None:
        """End the thread, once all is done that was taken."""
        self._waiting.put(None)
        self._work.join()

    def _run(self) -> None:
        while (fault := self._waiting.get()) is not None:
            alibi = self._alibis.begin(ALL)
            try:
                self._cluster.wait_until_up()  # from the fault before
                self._acts[fault.kind](fault)
            except Exception as error:
                self.wrong.append(f"{fault.kind}: the cluster did not do it: {error}")
            finally:
                alibi.over()
                self._waiting.task_done()
        self._waiting.task_done()

    # -- the faults ------------------------------------------------------------------------------------------------

    def _home(self, fault: Fault) -> int:
        return self._cluster.owner(self._slots[fault.pick % len(self._slots)])

    def _others(self, port: int) -> list[int]:
        return [other for other in self._cluster.serving() if other != port]

    def _reshard(self, fault: Fault) -> None:
        """Each slot of the hub that is there goes to another primary, key by key."""
        home = self._home(fault)
        targets = self._others(home)
        for slot in self._slots:
            if self._cluster.owner(slot) == home:
                self._cluster.move_slot(slot, targets[fault.pick % len(targets)])

    def _fail_over(self, fault: Fault) -> None:
        self._cluster.fail_over(self._home(fault))

    def _kill(self, fault: Fault) -> None:
        """SIGKILL; its replica takes over. It comes again as a replica of that."""
        home = self._home(fault)
        self._cluster.wait_in_step(home)
        self._cluster.kill(home)
        self._until_taken_over(home)
        self._cluster.start_again(home)
        self._whole()

    def _freeze(self, fault: Fault) -> None:
        """SIGSTOP for longer than the lease; its replica takes over. It wakes and believes for a moment that it is primary."""
        home, until = self._home(fault), time.monotonic() + fault.lasting
        self._cluster.wait_in_step(home)
        self._cluster.freeze(home)
        try:
            self._until_taken_over(home)
            time.sleep(max(0.0, until - time.monotonic()))
        finally:
            self._cluster.thaw(home)
        self._whole()

    def _flush(self, fault: Fault) -> None:
        for port in self._cluster.serving():
            self._cluster.ask(port, "SCRIPT FLUSH")

    def _grow(self, fault: Fault) -> None:
        """A primary with a replica more, and an even part of the slots for it; the hub's slots go there, too. (There is one at most.)"""
        if self._added:
            return self._shrink(fault)
        primary = self._cluster.add()
        self._added = [primary, self._cluster.add(of=primary)]
        self._cluster.wait_in_step(primary)
        sources = self._others(primary)
        part = SLOTS // (len(sources) + 1) // len(sources)
        for source in sources:
            own = [slot for slot in self._cluster.slots_of(source) if slot not in self._slots]
            self._cluster.give_empty(own[:part], source, primary)
        self._cluster.wait_until_up()
        for slot in self._slots[: max(1, len(self._slots) // (len(sources) + 1))]:
            if self._cluster.owner(slot) != primary:
                self._cluster.move_slot(slot, primary)

    def _shrink(self, fault: Fault) -> None:
        """All slots of the one that was added go back, and it is removed, with its replica."""
        if not self._added:
            return self._grow(fault)
        pair, self._added = self._added, []
        serving = self._cluster.serving()
        gone = next((port for port in pair if port in serving), pair[0])
        targets = [port for port in serving if port not in pair]
        for slot in self._slots:
            if self._cluster.owner(slot) == gone:
                self._cluster.move_slot(slot, targets[fault.pick % len(targets)])
        left = self._cluster.slots_of(gone)
        for place, target in enumerate(targets):
            self._cluster.give_empty(left[place :: len(targets)], gone, target)
        for port in sorted(pair, key=lambda port: port == gone):  # a replica does not forget its primary: it goes first
            self._cluster.remove(port)

    def _until_taken_over(self, home: int) -> None:
        self._cluster.wait(lambda: home not in self._cluster.serving(), f"a replica takes over from {home}")

    def _whole(self) -> None:
        for port in self._cluster.serving():
            self._cluster.wait_in_step(port)
