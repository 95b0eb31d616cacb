"""Which shards may have jobs that are to be put into RQ: commits and arrivals set the marks, the job forwarder takes them."""

from __future__ import annotations

from collections.abc import Sequence

from hubq.node.held.marked_shards import MarkedShards
from hubq.store.saying import Saying
from hubq.store.waiting_jobs import Enqueued


class WaitingJobs(MarkedShards):
    """Shards whose children have enqueued jobs."""

    def committed(self, shard: int, said: Sequence[Saying], held: bool) -> None:
        """Look at this shard if its children have enqueued jobs."""
        if any(isinstance(saying, Enqueued) for saying in said):
            self.arrived(shard)
