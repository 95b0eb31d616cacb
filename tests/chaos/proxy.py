"""A TCP forwarder between one worker and Redis, that can cut, stall and delay what passes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any


class Links:
    """Stands for a network and its proxies where workers connect by themselves: a client of a Redis Cluster is told by the cluster where
    to go.
    """

    severed = False

    def __init__(self, url: str) -> None:
        self.url = url

    def proxy(self) -> Links:
        """What a worker connects by."""
        return self

    def drop(self, proxy: Proxy | Links) -> None:
        """Nothing is kept of it."""

    def heal(self) -> None:
        """Nothing is broken."""

    def close(self) -> None:
        """Nothing is open."""


class Proxy:
    """One port that leads to Redis. Its methods may be called from any thread."""

    def __init__(self, network: Network, target: int) -> None:
        self.port = 0
        self._network = network
        self._target = target
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()
        self._refusing = False
        self.severed = False
        """A reply has passed since :meth:`sever`, and nothing after it."""
        self._severing = False
        self._stalled = self._one_way = False
        self._gates: set[asyncio.Event] = set()  # one for each link
        self._delay = 0.0
        self.held = 0
        """Bytes for Redis that wait in here."""
        self.delivered = 0
        """Bytes that have waited, and have been passed on."""

    @property
    def url(self) -> str:
        """What the worker is told to connect to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def snip(self) -> None:
        """Break every connection once."""
        self._network.do(self._snip())

    def cut(self) -> None:
        """Break every connection, and refuse new ones until :meth:`heal`."""
        self._refusing = True
        self.snip()

    def stall(self, *, standing_only: bool = False, one_way: bool = False) -> None:
        """Let nothing pass (``one_way``: nothing to Redis) until :meth:`heal`; no connection breaks.

        Neither on connections that come later, unless ``standing_only``.
        """
        self._stalled, self._one_way = not standing_only, one_way
        self._network.do(self._set(False))

    def sever(self) -> None:
        """Let one more request with a reply in it pass to Redis, and nothing after it."""
        self._severing = True

    def delay(self, seconds: float) -> None:
        """Everything takes this much longer, each way, until :meth:`heal`."""
        self._delay = seconds

    def heal(self) -> None:
        """Let everything pass again."""
        self._severing = self._stalled = False
        self._refusing, self._delay = self.severed, 0.0
        self._network.do(self._set(True))

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        await self._snip()

    async def _set(self, flowing: bool) -> None:
        for gate in self._gates:
            (gate.set if flowing else gate.clear)()

    async def _snip(self) -> None:
        for writer in list(self._links):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            to_redis, from_redis_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        both, gate = {writer, from_redis_writer}, asyncio.Event()
        if not self._stalled:
            gate.set()
        self._links |= both
        self._gates.add(gate)
        try:
            await asyncio.gather(
                self._pump(reader, from_redis_writer, gate, to_redis=True), self._pump(to_redis, writer, gate)
            )
        finally:
            self._gates.discard(gate)
            for end in both:
                end.transport.abort()
            self._links -= both

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event, to_redis: bool = False
    ) -> None:
        try:
            while data := await reader.read(65536):
                if self._delay:
                    await asyncio.sleep(self._delay)
                waits = to_redis and not gate.is_set()
                self.held += len(data) if waits else 0
                if self.severed:
                    return
                if to_redis or not self._one_way:
                    await gate.wait()
                writer.write(data)
                await writer.drain()
                self.delivered += len(data) if waits else 0
                if to_redis and self._severing and b":reply:" in data:
                    self._severing, self.severed, self._refusing = False, True, True
                    await self._snip()
        except OSError:
            pass
        finally:
            writer.transport.abort()


class Network:
    """The event loop, in a thread of its own, in which all proxies run."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="chaos-network")
        self._thread.start()
        self._proxies: list[Proxy] = []

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        """Run something in the network's loop, and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)

    def proxy(self) -> Proxy:
        """A new way to Redis."""
        proxy = Proxy(self, self._target)
        self.do(proxy.open())
        self._proxies.append(proxy)
        return proxy

    def drop(self, proxy: Proxy | Links) -> None:
        """Its worker has ended."""
        self._proxies.remove(proxy)
        self.do(proxy.close())

    def close(self) -> None:
        """End all proxies and the thread."""
        for proxy in list(self._proxies):
            self.drop(proxy)
        self.do(self._end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
