"""Children that are about jobs, in pages: keys for which jobs wait, and resumable jobs."""

from __future__ import annotations

from dataclasses import dataclass

from hubq.client.operations.listing import Query
from hubq.jobs.names import MARK, PREFIX
from hubq.store.spec_record import SpecRecord

#: Keys with waiting jobs. They are found by what waits: no other child is looked at.
BUSY_KEYS = Query(match=f"{PREFIX}*", waiting=1)


@dataclass(frozen=True, slots=True)
class OfResumable(Query):
    """Resumable jobs that have not ended. Nothing but their metadata tells them from other children."""

    @property
    def word(self) -> bytes:
        """What marks them, as it stands in a spec."""
        return MARK[1].encode()

    def wants(self, child_id: str, spec: SpecRecord) -> bool:
        """Whether the child is one of them."""
        return spec.metadata.get(MARK[0]) == MARK[1] and not child_id.startswith(PREFIX)
