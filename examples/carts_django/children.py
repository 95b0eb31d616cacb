"""Found by hubq at the start, since the app is in ``INSTALLED_APPS``."""

from __future__ import annotations

from hubq import Child
from hubq.contrib.django import hub


@hub.child(activate=True)  # the first thing that is put in starts it
class Cart(Child):
    """What one customer wants."""

    def __init__(self) -> None:
        self.items: list[str] = []

    async def add(self, item: str) -> list[str]:
        """Put something in; all that is in it."""
        self.items.append(item)
        return self.items
