"""Listings of children that may take long: for how long they are looked through, and how far that has come."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from hubq.client.hub import Hub
from hubq.client.operations.listing import Query
from hubq.client.operations.paging import ChildrenPage, Enough, children_page
from hubq.client.operations.places import looked_at


class Listings:
    """Pages of children of one hub. ``clock`` tells seconds."""

    def __init__(self, hub: Hub, clock: Callable[[], float] = time.monotonic) -> None:
        self._driver = hub.aio.driver
        self._clock = clock

    async def page(
        self, query: Query, after: str, limit: int, patience: float = math.inf
    ) -> tuple[ChildrenPage, int, int]:
        """A page, and at about how many children of how many was looked up to its end (0 and 0: at all).

        After ``patience`` seconds no more is read, and the page has what was found. Raises
        :class:`~hubq.errors.ConfigError` as :func:`~hubq.client.operations.paging.children_page` does.
        """
        context = self._driver.context
        page = await self._driver.drive(children_page(context, query, after, limit, self._over(patience)))
        if not page.next:
            return page, 0, 0
        return page, *(await self._driver.drive(looked_at(context, query, page.next)))

    def _over(self, seconds: float) -> Enough:
        until = self._clock() + seconds
        return lambda: self._clock() >= until
