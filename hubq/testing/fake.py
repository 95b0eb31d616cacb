"""fakeredis in the place of a Redis: for tests without a server."""

from __future__ import annotations

from typing import Any

import fakeredis


class FakeServer:
    """A Redis in this process's memory. Give it to a hub: ``Hub("test", redis=FakeServer())``.

    >>> from hubq import Hub
    >>> Hub("test", redis=FakeServer()).nodes()
    []
    """

    def __init__(self) -> None:
        self._server = fakeredis.FakeServer()
        self.address = "fakeredis"

    def sync_client(self, timeout: float) -> Any:
        """A blocking client."""
        return fakeredis.FakeRedis(server=self._server, protocol=2)

    def async_client(self, timeout: float) -> Any:
        """An asyncio client."""
        return fakeredis.FakeAsyncRedis(server=self._server, protocol=2)

    @property
    def connected(self) -> bool:
        """Whether the server answers; set it to False to cut every connection."""
        return bool(self._server.connected)

    @connected.setter
    def connected(self, value: bool) -> None:
        self._server.connected = value
