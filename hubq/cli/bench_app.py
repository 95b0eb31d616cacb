"""The app of ``hubq bench``: what its worker serves. (Only the bench's own processes import it.)"""

from __future__ import annotations

import os

from hubq.client.hub import Hub
from hubq.core.child import Child

HUB_ID = "HUBQ_BENCH_HUB"


class Idle(Child):
    """Durable; its method changes nothing."""

    async def touch(self) -> None:
        """Do nothing."""


def make_hub(hub_id: str, redis: str | None = None) -> Hub:
    """A hub that knows the child."""
    hub = Hub(hub_id, redis=redis)
    hub.child(Idle)
    return hub


hub = make_hub(os.environ.get(HUB_ID, "bench"))
