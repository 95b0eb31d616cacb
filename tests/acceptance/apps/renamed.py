"""An app of two versions: the second one has renamed a method."""

import os

from hubq import Child, Hub

hub = Hub(os.environ["HUBQ_TEST_HUB"])


@hub.child
class Tally(Child):
    def __init__(self) -> None:
        self.n = 0

    async def total(self) -> int:
        return self.n


async def add(self: Tally, n: int) -> None:
    self.n += n


setattr(Tally, "plus" if os.environ.get("HUBQ_TEST_VERSION") == "2" else "add", add)
