"""Which shards may have messages in their outboxes: commits and arrivals set the marks, the forwarder takes them."""

from __future__ import annotations

from collections.abc import Sequence

from hubq.node.held.marked_shards import MarkedShards
from hubq.store.saying import Saying


class Outboxes(MarkedShards):
    """Shards whose outbox is to be looked at."""

    def committed(self, shard: int, said: Sequence[Saying], held: bool) -> None:
        """Look at the outbox of this shard if something waits there."""
        if held:
            self.arrived(shard)
