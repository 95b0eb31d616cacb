"""PubSub: every change is in the events stream, and everybody follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hubq.core.pid import Pid
from hubq.errors import ConfigError
from hubq.strategies.synchronization.protocol import differing

#: Events after which a node looks at its view again at once.
VIEW_EVENTS = frozenset(
    {
        "node_joined",
        "node_left",
        "node_evicted",
        "node_draining",
        "shard_parked",
        "pin_released",
        "child_wanted",
        "shards_assigned",
        "quorum_lost",
        "quorum_regained",
        "cluster_size_reset",
    }
)


@dataclass(frozen=True, slots=True)
class PubSub:
    """Nodes look at once when the events stream says so, and every ``sync_interval`` seconds besides: what a lost or
    late event has damaged is mended then. Clients answer from their cache until the stream tells of a change.

    >>> PubSub().propagate("node_joined"), PubSub().propagate("child_stopped")
    (True, False)
    """

    sync_interval: float = 1.0
    """Seconds between two looks without an event. One look reads two small hashes."""

    def __post_init__(self) -> None:
        checked_interval(self.sync_interval)

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def propagate(self, event: str) -> bool:
        """At once, when members or owners have changed."""
        return event in VIEW_EVENTS

    def follows_events(self) -> bool:
        """Yes."""
        return True

    def init_sync(self) -> float:
        """The interval."""
        return self.sync_interval

    def handle_synchronization(self, served: Mapping[int, Pid], owners: Mapping[int, Pid]) -> list[int]:
        """All that differ."""
        return differing(served, owners)


def checked_interval(seconds: float) -> None:
    """Raise :class:`~hubq.errors.ConfigError` unless it is from 0.05 to 3600."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0.05 <= seconds <= 3600:
        raise ConfigError(f"sync_interval={seconds!r}: give seconds from 0.05 to 3600")
