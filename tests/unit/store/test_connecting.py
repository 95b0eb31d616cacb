"""What redis-py sends on a new connection before we do."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import hiredis
import pytest

from hubq.store.server import RedisServer


class Listener:
    """Answers every command with PONG, and keeps what it was sent."""

    def __init__(self) -> None:
        self.commands: list[list[bytes]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._socket.getsockname()[1]}/0"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            reader = hiredis.Reader()
            with connection:
                while data := connection.recv(4096):
                    reader.feed(data)
                    while (command := reader.gets()) is not False:
                        self.commands.append(command)
                        connection.sendall(b"+PONG\r\n")

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listening = Listener()
    yield listening
    listening.close()


def test_a_waiting_client_sends_nothing_but_what_it_is_told_to(listener: Listener) -> None:
    with RedisServer(listener.url).sync_client(5.0) as client:
        client.execute_command("PING")
    assert listener.commands == [[b"PING"]], "a restricted user may not send more"


def test_an_awaiting_client_sends_nothing_but_what_it_is_told_to(listener: Listener) -> None:
    async def scenario(client: Any) -> None:
        async with client:
            await client.execute_command("PING")

    asyncio.run(scenario(RedisServer(listener.url).async_client(5.0)))
    assert listener.commands == [[b"PING"]], "a restricted user may not send more"
