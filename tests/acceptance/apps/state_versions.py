"""An app of which there are a good version and a bad one: HUBQ_TEST_VERSION says which this is."""

import os
from typing import Any

from hubq import Child, Hub

hub = Hub(os.environ["HUBQ_TEST_HUB"], shards=16, lease=2.0, lease_margin=0.5)


@hub.child
class Counter(Child):
    state_version = 2 if os.environ.get("HUBQ_TEST_VERSION") else 1

    def __init__(self) -> None:
        self.value = 0

    def upgrade_state(self, state: Any, version: int) -> Any:
        if os.environ["HUBQ_TEST_VERSION"] == "bad":
            raise KeyError("prices")
        return state

    async def add(self, n: int) -> None:
        self.value += n

    async def total(self) -> int:
        return self.value
