"""``hubq demo --primaries 3``: what happens to the Redis Cluster while the words flow."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from hubq.cli.demo_play import DemoFailed, Step
from hubq.store.embedded_cluster import EmbeddedCluster

#: So many groups for each primary: then slots can move, and each primary still has a group.
GROUPS_OF_EACH = 2


class ClusterSteps:
    """One group moves to another primary, then all groups of a primary move to the others, and then a primary fails over.

    ``slots``: those in which the groups of the hub are.
    """

    def __init__(self, cluster: EmbeddedCluster, slots: Sequence[int]) -> None:
        self._cluster = cluster
        self._slots = slots
        self._work: threading.Thread | None = None
        self._error: Exception | None = None

    def steps(self) -> list[Step]:
        """They lie between those of the workers."""
        return [
            Step(0.10, lambda: self._begin(self._move_one), self._done,
                 "the slot of a group moves to another primary, key by key", lambda: f"it has moved: {self._placed()}"),
            Step(0.50, lambda: self._begin(self._move_all), self._done,
                 "a primary is emptied: the slots of its groups move to the others", lambda: f"they have moved: {self._placed()}"),
            Step(0.78, lambda: self._begin(self._fail_over), self._done,
                 "a primary fails over to its replica", "the replica is primary"),
        ]  # fmt: skip

    def _begin(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except Exception as error:
                self._error = error

        self._work = threading.Thread(target=run, name="hubq-demo-cluster", daemon=True)
        self._work.start()

    def _done(self) -> bool:
        if self._error is not None:
            raise DemoFailed(f"the Redis Cluster: {self._error}")
        return self._work is not None and not self._work.is_alive()

    def _placed(self) -> str:
        """How many groups each primary has, for people."""
        counts = [len(self._on(port)) for port in self._cluster.serving()]
        return f"the primaries have {' + '.join(map(str, sorted(counts, reverse=True)))} groups"

    def _on(self, port: int) -> list[int]:
        return [slot for slot in self._slots if self._cluster.owner(slot) == port]

    def _move_one(self) -> None:
        self._move(self._slots[:1])

    def _move_all(self) -> None:
        self._move(self._on(self._cluster.owner(self._slots[1])))

    def _move(self, slots: Sequence[int]) -> None:
        for place, slot in enumerate(slots):
            source = self._cluster.owner(slot)
            others = [port for port in self._cluster.serving() if port != source]
            self._cluster.move_slot(slot, others[place % len(others)])

    def _fail_over(self) -> None:
        self._cluster.wait_until_up()
        self._cluster.tell_all_again()
        self._cluster.fail_over(self._cluster.owner(self._slots[0]))
