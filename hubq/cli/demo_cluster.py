"""``hubq demo --primaries 3``: what happens to the Redis Cluster while the words flow."""

from __future__ import annotations

import threading
from collections.abc import Callable

from hubq.cli.demo_play import DemoFailed, Step
from hubq.store.embedded_cluster import EmbeddedCluster
from hubq.store.slots import slot_of


class ClusterSteps:
    """The slot of the hub moves twice, key by key, and then its primary fails over."""

    def __init__(self, cluster: EmbeddedCluster, hub_id: str) -> None:
        self._cluster = cluster
        self._slot = slot_of(hub_id)
        self._work: threading.Thread | None = None
        self._error: Exception | None = None
        self.keys = 0

    def steps(self) -> list[Step]:
        """They lie between those of the workers."""
        moves = "the slot of the hub moves to another primary, key by key"
        return [
            Step(0.10, lambda: self._begin(self._move), self._done, moves, "it has moved"),
            Step(0.50, lambda: self._begin(self._move), self._done, moves, "it has moved again"),
            Step(0.78, lambda: self._begin(self._fail_over), self._done, "its primary fails over to a replica",
                 "the replica is primary"),
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

    def _move(self) -> None:
        homes = self._cluster.primaries
        owner = self._cluster.owner(self._slot)
        self.keys += self._cluster.move_slot(self._slot, homes[(homes.index(owner) + 1) % len(homes)])

    def _fail_over(self) -> None:
        self._cluster.fail_over(self._cluster.owner(self._slot))
