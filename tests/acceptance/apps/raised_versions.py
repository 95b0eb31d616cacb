"""An app whose next version raises ``state_version``, and has a handler that raises: HUBQ_TEST_VERSION says which this is."""

import os
from typing import Any

from hubq import Child, Hub

VERSION = os.environ.get("HUBQ_TEST_VERSION", "")
hub = Hub(os.environ["HUBQ_TEST_HUB"], shards=16, lease=2.0, lease_margin=0.5)


class Old(Child):
    state_version = 2

    def __init__(self) -> None:
        self.seen: list[int] = []

    def upgrade_state(self, state: Any, version: int) -> Any:
        return state

    async def add(self, number: int) -> None:
        self.seen.append(number)

    async def all(self) -> list[int]:
        return self.seen


class New(Child):
    """Its list has another name."""

    state_version = 3

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def upgrade_state(self, state: Any, version: int) -> Any:
        return {"numbers": state["seen"]}

    async def add(self, number: int) -> None:
        self.numbers.append(number)
        if number % 2:
            raise ValueError("a mistake of the new version")

    async def all(self) -> list[int]:
        return self.numbers


class NewWithWayBack(New):
    def downgrade_state(self, state: Any, version: int) -> Any:
        return {"seen": state["numbers"]}


Counter = {"": Old, "raised": New, "raised with a way back": NewWithWayBack}[VERSION]
Counter.__qualname__ = "Counter"
hub.child(Counter)
