"""What a synchronization strategy decides: when a view of the hub is read again, and what is mended then.

The truth is in Redis, in one place, so there is nothing to spread from node to node: a view is right or it is read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from hubq.core.pid import Pid


class Synchronization(Protocol):
    """A synchronization strategy. One object serves all nodes and clients it is given to; it keeps no state."""

    def init(self, hub_id: str) -> None:
        """Called when a node of the hub starts."""

    def propagate(self, event: str) -> bool:
        """Something of this type was written to the events stream: must a node look at its view again at once?"""

    def follows_events(self) -> bool:
        """Whether a client may answer from its cache of owners as long as the events stream tells of no change."""

    def init_sync(self) -> float:
        """Seconds after which a node looks at its view again whatever happened."""

    def handle_synchronization(self, served: Mapping[int, Pid], owners: Mapping[int, Pid]) -> list[int]:
        """What a node serves against what Redis says: the shards that must be mended, by adopting or dropping them."""


def differing(served: Mapping[int, Pid], owners: Mapping[int, Pid]) -> list[int]:
    """The shards that are served otherwise than Redis says.

    >>> differing({1: Pid("a", 1, 1), 2: Pid("a", 1, 1)}, {1: Pid("a", 1, 1), 2: Pid("b", 2, 2), 3: Pid("a", 1, 5)})
    [2, 3]
    """
    return [shard for shard, owner in owners.items() if served.get(shard) != owner]
