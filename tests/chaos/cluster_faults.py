"""What is done to a Redis Cluster while a hub is under load: slots move, primaries fail over, freeze, die, come and go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Full, Queue

from redis.exceptions import ResponseError

from hubq.errors import RedisUnavailable
from hubq.store.cluster_view import SLOTS
from hubq.store.embedded_cluster import EmbeddedCluster

from .alibis import ALL, Alibi, Alibis
from .cluster_diary import ClusterDiary
from .plan import Fault

#: Faults that wait for the one that goes on.
MOST = 3


class ClusterFaults:
    """One fault after the other, in a thread. While ``MOST`` wait, no other is taken. ``slots``: in which each group of the hub lives.

    A fault is of one primary, drawn among those of the groups. It explains evictions in the groups that are there.
    ``wrong``: what the cluster itself did not do as it should.
    """

    def __init__(self, cluster: EmbeddedCluster, slots: Sequence[int], alibis: Alibis, diary: ClusterDiary) -> None:
        self.wrong: list[str] = []
        self._cluster = cluster
        self._slots = slots
        self._alibis = alibis
        self._diary = diary
        self._waiting: Queue[Fault | None] = Queue(MOST)
        self._added: list[int] = []  # a primary and its replica
        self._begun: list[Alibi] = []  # by the fault that goes on
        self._acts: dict[str, Callable[[Fault], None]] = {
            "reshard": self._reshard, "failover": self._fail_over, "primary_kill": self._kill, "primary_freeze": self._freeze,
            "script_flush": self._flush, "grow": self._grow, "shrink": self._shrink,
        }  # fmt: skip
        self._work = threading.Thread(target=self._run, name="chaos cluster")
        self._work.start()

    def pids(self) -> list[int]:
        """Those of all nodes."""
        return self._cluster.pids()

    def keep(self, directory: Path) -> None:
        """Their logs."""
        for port, log in self._cluster.logs().items():
            (directory / f"redis-{port}.log").write_text(log)

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
            lost = [
                f"Redis itself lost slot {slot}, of group {n}"
                for n, slot in enumerate(self._slots)
                if slot in self._cluster.lost
            ]
            self.wrong += [line for line in lost if line not in self.wrong]

    def close(self) -> None:
        """End the thread, once all is done that was taken."""
        self._waiting.put(None)
        self._work.join()

    def _run(self) -> None:
        while (fault := self._waiting.get()) is not None:
            try:
                self._cluster.wait_until_up()  # from the fault before
                self._diary.write(f"{fault.kind} begins")
                self._acts[fault.kind](fault)
                self._diary.write(f"{fault.kind} is over")
                self._cluster.wait_until_up()
                self._cluster.tell_all_again()
            except Exception as error:
                self._diary.write(f"{fault.kind} was not done: {error!r}")
                self._diary.write_all()
                self.wrong.append(f"{fault.kind} at {time.strftime('%X')}: the cluster did not do it: {error}")
            finally:
                while self._begun:
                    self._begun.pop().over()
                self._waiting.task_done()
        self._waiting.task_done()

    # -- where the groups are --------------------------------------------------------------------------------------

    def _home(self, fault: Fault) -> int:
        return self._cluster.owner(self._slots[fault.pick % len(self._slots)])

    def _others(self, port: int) -> list[int]:
        return [other for other in self._cluster.serving() if other != port]

    def _groups_of(self, port: int) -> list[int]:
        return [group for group, slot in enumerate(self._slots) if self._cluster.owner(slot) == port]

    def _hurts(self, groups: list[int]) -> list[int]:
        """From now on, until the fault is over, it explains what happens in these groups."""
        self._begun.append(self._alibis.begin(ALL, groups))
        return groups

    def _move(self, group: int, target: int) -> None:
        """Key by key. A move that is interrupted, as by a failover that nobody asked for, is begun again."""
        self._hurts([group])
        try:
            self._cluster.move_slot(self._slots[group], target)
        except Exception:
            self._cluster.wait_until_up()
            self._cluster.settle_slot(self._slots[group])
            if self._cluster.owner(self._slots[group]) != target and target in self._cluster.serving():
                self._cluster.move_slot(self._slots[group], target)

    # -- the faults ------------------------------------------------------------------------------------------------

    def _reshard(self, fault: Fault) -> None:
        """Each group that is there goes to another primary."""
        home = self._home(fault)
        targets = self._others(home)
        for number, group in enumerate(self._groups_of(home)):
            self._move(group, targets[(fault.pick + number) % len(targets)])

    def _fail_over(self, fault: Fault) -> None:
        home = self._home(fault)
        self._hurts(self._groups_of(home))
        self._cluster.fail_over(home)

    def _kill(self, fault: Fault) -> None:
        """SIGKILL; its replica takes over. It comes again as a replica of that."""
        home = self._home(fault)
        self._cluster.wait_in_step(home)
        self._hurts(self._groups_of(home))
        self._cluster.kill(home)
        self._until_taken_over(home)
        self._cluster.start_again(home)
        self._whole()

    def _freeze(self, fault: Fault) -> None:
        """SIGSTOP for longer than the lease; its replica takes over. It wakes and believes for a moment that it is primary."""
        home, until = self._home(fault), time.monotonic() + fault.lasting
        self._cluster.wait_in_step(home)
        self._hurts(self._groups_of(home))
        self._cluster.freeze(home)
        try:
            self._until_taken_over(home)
            time.sleep(max(0.0, until - time.monotonic()))
        finally:
            self._cluster.thaw(home)
        self._whole()

    def _flush(self, fault: Fault) -> None:
        """It explains nothing."""
        for port in self._cluster.serving():
            self._cluster.ask(port, "SCRIPT FLUSH")

    def _grow(self, fault: Fault) -> None:
        """A primary with a replica more, and an even part of the slots for it, with its part of the groups. (There is one at most.)"""
        if self._added:
            return self._shrink(fault)
        primary, _ = self._added = self._add_pair()
        self._cluster.wait_in_step(primary)
        sources = self._others(primary)
        part = SLOTS // (len(sources) + 1) // len(sources)
        for source in sources:
            own = [slot for slot in self._cluster.slots_of(source) if slot not in self._slots]
            self._cluster.give_empty(own[:part], source, primary)
        self._cluster.wait_until_up()
        for _ in range(max(1, len(self._slots) // (len(sources) + 1))):
            most = max(sources, key=lambda port: len(self._groups_of(port)))
            self._move(self._groups_of(most)[0], primary)

    def _add_pair(self) -> list[int]:
        """A primary and its replica. One without slots may become a replica of another before it has one itself: then once more."""
        for _ in range(3):
            primary = self._cluster.add()
            try:
                return [primary, self._cluster.add(of=primary)]
            except ResponseError as error:
                self._diary.write(f"{primary} gets no replica: {error}")
                for port in self._cluster.ports[-2:]:
                    self._cluster.remove(port)
        raise RedisUnavailable("a new primary gets no replica")

    def _shrink(self, fault: Fault) -> None:
        """All slots of the one that was added go back, and it is removed, with its replica."""
        if not self._added:
            return self._grow(fault)
        pair, self._added = self._added, []
        serving = self._cluster.serving()
        gone = next((port for port in pair if port in serving), pair[0])
        targets = [port for port in serving if port not in pair]
        for group in self._groups_of(gone):
            self._move(group, min(targets, key=lambda port: len(self._groups_of(port))))
        left = self._cluster.slots_of(gone)
        part = -(-len(left) // len(targets))  # in one piece: each piece is a line of CLUSTER SLOTS
        for place, target in enumerate(targets):
            self._cluster.give_empty(left[place * part : (place + 1) * part], gone, target)
        for port in sorted(pair, key=lambda port: port == gone):  # a replica does not forget its primary: it goes first
            self._cluster.remove(port)

    def _until_taken_over(self, home: int) -> None:
        self._cluster.wait(lambda: home not in self._cluster.serving(), f"a replica takes over from {home}")

    def _whole(self) -> None:
        self._cluster.wait_until_up()  # one that was just woken may still take itself for a primary
        for port in self._cluster.serving():
            self._cluster.wait_in_step(port)
