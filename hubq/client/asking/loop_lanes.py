"""Connections that the groups on one plain primary share: what is sent to several of them in one moment is one write."""

from __future__ import annotations

import asyncio
import os
from weakref import WeakValueDictionary

from hubq.store.lanes import Lanes
from hubq.store.server import ANSWER_TIMEOUT, Server


class LoopLanes:
    """The connections of each event loop to one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._lanes: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, int], Lanes] = WeakValueDictionary()

    def here(self) -> Lanes:
        """Those of this event loop, in this process. They live as long as somebody has them."""
        place = asyncio.get_running_loop(), os.getpid()
        lanes = self._lanes.get(place)
        if lanes is None:
            lanes = self._lanes[place] = Lanes(self._server, ANSWER_TIMEOUT)
        return lanes
