"""Redis as a process of the simulation sees it: servers and clients over :mod:`tests.simulation.network`.

:class:`SimServer` is a ``hubq.store.connection.Server``: hubq's own executor (retries, NOSCRIPT, pipelines) runs on top.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubq.store.connection import AsyncRedis, Server
from hubq.store.malformed import MalformedWatch
from hubq.store.primary import PrimaryWatch
from tests.simulation.loop import Process
from tests.simulation.network import Network


class SimServer:
    """Redis as one process sees it: a ``hubq.store.connection.Server``."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network, self._process = network, process
        self.address = f"simulated{network.name}"

    def watched(self, watch: PrimaryWatch | None) -> SimServer:
        """The same for a connection that asks who answers."""
        return WatchedServer(self._network, self._process, watch)

    def sync_client(self, timeout: float) -> Any:
        raise NotImplementedError("waiting clients cannot be simulated: use hub.aio")

    def async_client(self, timeout: float) -> Any:
        return SimClient(self._network, self._process, timeout)


class WatchedServer(SimServer):
    """A server of which every connection asks first who answers."""

    def __init__(self, network: Network, process: Process, watch: PrimaryWatch | None) -> None:
        super().__init__(network, process)
        self._watch = watch

    def async_client(self, timeout: float) -> Any:
        return SimClient(self._network, self._process, timeout, self._watch)


def greeting(
    server: Server, *, watch: PrimaryWatch | None = None, malformed: MalformedWatch | None = None
) -> AsyncRedis:
    """``Node(connect=...)``: connections that notice when another Redis answers, or one that was restarted."""
    assert isinstance(server, SimServer)
    return AsyncRedis(server.watched(watch), watch=watch, malformed=malformed)


class SimClient:
    """As much of ``redis.asyncio.Redis`` as hubq uses."""

    def __init__(self, network: Network, process: Process, timeout: float, watch: PrimaryWatch | None = None) -> None:
        self._network, self._process, self._timeout, self._watch = network, process, timeout, watch
        self._lives = -1
        self.response_callbacks: dict[str, Any] = {}

    def greet(self) -> None:
        """Ask who answers, if it may be another one than last."""
        lives = self._network.lives
        if self._watch is not None and lives != self._lives and not self._network.down:
            self._lives = lives
            self._watch.seen(b"run_id:%d\r\nrole:master\r\nmaster_replid:%d\r\n" % (lives, lives))

    async def execute_command(self, *args: Any) -> Any:
        self.greet()
        (answer,) = await self._network.request(self._process, [args], self._timeout)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def script_load(self, text: str) -> Any:
        return await self.execute_command("SCRIPT", "LOAD", text)

    def pipeline(self, transaction: bool) -> SimPipeline:
        return SimPipeline(self, self._network, self._process, self._timeout)

    async def aclose(self) -> None:
        pass


class SimPipeline:
    """Commands that go out together."""

    def __init__(self, client: SimClient, network: Network, process: Process, timeout: float) -> None:
        self._client, self._network, self._process, self._timeout = client, network, process, timeout
        self._commands: list[Sequence[Any]] = []

    def execute_command(self, *args: Any) -> None:
        self._commands.append(args)

    async def execute(self, raise_on_error: bool) -> list[Any]:
        self._client.greet()
        return await self._network.request(self._process, self._commands, self._timeout)
