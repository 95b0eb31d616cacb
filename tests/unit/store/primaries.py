"""Primaries of a Redis Cluster that say what they are told to, and clients of a node that meet them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable

import hiredis

from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.primary import PrimaryWatch
from hubq.store.server import RedisServer
from hubq.store.slots import slot_of

SLOT = slot_of("chat")


class Primary:
    """One node of a cluster, that says of itself what it is told to. ``owner``: who has the slot, as it says.
    ``puts``: the keys it was sent. ``breaks_off_at``: questions at which it breaks the connection off. ``errors``: questions that it
    answers with an error. ``held``: for each of the next questions who has the slot, what says that it has come, and what the answer
    waits for.
    """

    def __init__(self, run_id: str, replid: str, replid2: str = "0") -> None:
        self.info = {"role": "master", "run_id": run_id, "master_replid": replid, "master_replid2": replid2}
        self.puts: list[str] = []
        self.breaks_off_at: set[bytes] = set()
        self.errors: dict[bytes, bytes] = {}
        self.held: list[tuple[threading.Event, threading.Event]] = []
        self.owner = self
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def becomes_replica_of(self, primary: Primary) -> None:
        self.info |= {"role": "slave", "master_host": "127.0.0.1", "master_port": str(primary.port)}
        self.owner = primary

    def hang_up(self) -> None:
        """All connections to it are lost."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()
        self.hang_up()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            self._open.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(4096):
                reader.feed(data)
                while (command := reader.gets()) is not False:
                    connection.sendall(self._said(command))

    def _said(self, command: list[bytes]) -> bytes:
        if command[0] in self.breaks_off_at:
            raise ConnectionResetError
        if command[0] in self.errors:
            return b"-%s\r\n" % self.errors[command[0]]
        if command[0] == b"INFO":
            info = "".join(f"{name}:{value}\r\n" for name, value in self.info.items())
            return f"${len(info)}\r\n{info}\r\n".encode()
        if command[0] == b"CLUSTER":
            if self.held:
                has_come, answers = self.held.pop(0)
                has_come.set()
                answers.wait()
            return f"*1\r\n*3\r\n:{SLOT}\r\n:{SLOT}\r\n*3\r\n$0\r\n\r\n:{self.owner.port}\r\n$1\r\nx\r\n".encode()
        if command[0] == b"SET" and self.owner is not self:
            return f"-MOVED {SLOT} 127.0.0.1:{self.owner.port}\r\n".encode()
        if command[0] == b"SET":
            self.puts.append(command[1].decode())
        return b"+OK\r\n"


class Connected:
    """A connection of redis-py to a primary, as far as the watch needs one."""

    def __init__(self, primary: Primary) -> None:
        self.host, self.port = "127.0.0.1", primary.port
        self._info = primary.info

    async def send_command(self, *command: str) -> None:
        assert command == ("INFO",)

    async def read_response(self) -> str:
        return "".join(f"{name}:{value}\r\n" for name, value in self._info.items())


class Pair:
    """Two clients, as a node has them, of which one has been answered by ``known``. They ask ``other`` first when they need to know who has
    the slot.
    """

    def __init__(self, known: Primary, other: Primary) -> None:
        self.known, self.other = known, other
        self.changes: list[tuple[str, str]] = []
        self.watch = PrimaryWatch()
        self.watch.subscribe(lambda was, now: self.changes.append((was, now)))
        server = RedisServer(f"redis+cluster://127.0.0.1:{other.port},127.0.0.1:{known.port}", slot=SLOT)
        self.redis, self.reading = (AsyncRedis(server, watch=self.watch) for _ in range(2))

    async def put(self, key: str) -> None:
        await self.redis.run(plain("SET", key, "1", read=bool))


Scenario = Callable[[Pair], Awaitable[None]]


def led_from_to(known: Primary, other: Primary, scenario: Scenario) -> None:
    """``other`` takes itself for the owner of the slot once ``known`` has been found."""

    async def run() -> None:
        pair = Pair(known, other)
        other.owner = known
        await pair.put("before")
        assert known.puts == ["before"]
        other.owner = other
        try:
            await scenario(pair)
        finally:
            await pair.redis.close()
            await pair.reading.close()

    asyncio.run(run())
