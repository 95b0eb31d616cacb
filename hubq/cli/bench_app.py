"""The app of ``hubq bench``: what its worker serves. (Only the bench's own processes import it.)"""

from __future__ import annotations

import os

from hubq.client.hub import Hub
from hubq.core.child import Child

HUB_ID, GROUPS = "HUBQ_BENCH_HUB", "HUBQ_BENCH_GROUPS"
#: Shards of a hub, if groups do not need more.
SHARDS = 64


class Idle(Child):
    """Durable; its method changes nothing."""

    async def touch(self) -> None:
        """Do nothing."""


def make_hub(hub_id: str, groups: int, redis: str | None = None) -> Hub:
    """A hub that knows the child. Each group has as many shards."""
    hub = Hub(hub_id, redis=redis, groups=groups, shards=-(-SHARDS // groups) * groups)
    hub.child(Idle)
    return hub


hub = make_hub(os.environ.get(HUB_ID, "bench"), int(os.environ.get(GROUPS, "1")))
