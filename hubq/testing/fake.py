"""fakeredis in the place of a Redis: for tests without a server."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from hubq.errors import ConfigError


def imported_fakeredis() -> ModuleType:
    """fakeredis, imported at the first use: pytest loads hubq's plugin wherever hubq is installed."""
    try:
        import fakeredis
    except ImportError:
        raise ConfigError("FakeServer needs fakeredis: pip install 'hubq[testing]'") from None
    return fakeredis


class FakeServer:
    """A Redis in this process's memory. Give it to a hub: ``Hub("test", redis=FakeServer())``.

    >>> from hubq import Hub
    >>> Hub("test", redis=FakeServer()).nodes()
    []
    """

    def __init__(self) -> None:
        self._fakeredis = imported_fakeredis()
        self._server = self._fakeredis.FakeServer()
        self.address = "fakeredis"

    def sync_client(self, timeout: float) -> Any:
        """A blocking client."""
        return self._fakeredis.FakeRedis(server=self._server, protocol=2)

    def async_client(self, timeout: float) -> Any:
        """An asyncio client."""
        return self._fakeredis.FakeAsyncRedis(server=self._server, protocol=2)

    @property
    def connected(self) -> bool:
        """Whether the server answers; set it to False to cut every connection."""
        return bool(self._server.connected)

    @connected.setter
    def connected(self, value: bool) -> None:
        self._server.connected = value
