"""Polling: nobody follows the events stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hubq.core.pid import Pid
from hubq.strategies.synchronization.protocol import differing
from hubq.strategies.synchronization.pub_sub import checked_interval


@dataclass(frozen=True, slots=True)
class Polling:
    """Nodes look when their heartbeat shows a new membership epoch, and every ``sync_interval`` seconds besides.

    For hubs of very many nodes: with :class:`PubSub` each event makes each node read the owners. Handovers do not wait
    for a look (their messages go from node to node); a lost message, a pin that has gone or a parked shard does.
    Clients keep no cache: each question reads what it needs.

    >>> Polling().init_sync(), Polling().propagate("node_joined")
    (15.0, False)
    """

    sync_interval: float = 15.0
    """Seconds between two looks."""

    def __post_init__(self) -> None:
        checked_interval(self.sync_interval)

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def propagate(self, event: str) -> bool:
        """Never."""
        return False

    def follows_events(self) -> bool:
        """No: clients keep no cache."""
        return False

    def init_sync(self) -> float:
        """The interval."""
        return self.sync_interval

    def handle_synchronization(self, served: Mapping[int, Pid], owners: Mapping[int, Pid]) -> list[int]:
        """All that differ."""
        return differing(served, owners)
