"""A hub of counters: ``hubq worker workers.counter:hub --name a``."""

from __future__ import annotations

from hubq import Child, Hub

hub = Hub("counter")


@hub.child
class Counter(Child):
    """A number that outlives the worker it is on.

    >>> hub.hub_id
    'counter'
    """

    def __init__(self, value: int = 0) -> None:
        self.value = value

    async def add(self, n: int = 1) -> int:
        """Add ``n``; the new value."""
        self.value += n
        return self.value

    async def get(self) -> int:
        """The value."""
        return self.value

    async def where(self) -> str:
        """The node this counter is on right now."""
        return self.node_name
