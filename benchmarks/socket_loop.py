"""The least that hubq's guarantees cost: bare sockets, hiredis and uvloop, no library of Redis, and nothing for comfort.

A send is numbered, so that one whose answer was lost may be repeated. A commit is fenced by a token; it deletes the messages, saves
what has changed and pushes the replies, all or nothing. Both are one script for many messages (``benchmarks/lua``). There is one
owner, one sender, no move, no bound, no deadline, no log: hubq can get near to this loop, and never past it.
``python -m benchmarks.socket_loop URL`` is the process that serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import pickle
import subprocess
import sys
import zlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hiredis

from benchmarks.bare_loop import Idle
from benchmarks.processes import ended, start
from hubq.cli.worker import fastest_loop

LUA = Path(__file__).parent / "lua"
STREAMS = [f"socket:{number}".encode() for number in range(16)]
OWNER, TOKEN, STATES, UP = b"socket:owner", b"1", b"socket:states", b"socket:up"
SENDER, REPLIES = b"socket:sender", b"socket:replies"
ARGUMENTS = pickle.dumps(((), {}))
#: Most entries of each stream in one read.
AT_ONCE = 500

Word = bytes | int


class Connection(asyncio.Protocol):
    """One socket to Redis. Answers come in the order of the requests."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._loop = asyncio.get_running_loop()
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Some answers, or a part of one."""
        self._reader.feed(data)
        while (answer := self._reader.gets()) is not False:
            waiting = self._waiting.popleft()
            if waiting.cancelled():
                continue
            if isinstance(answer, hiredis.ReplyError):
                waiting.set_exception(answer)
            else:
                waiting.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing that was asked is answered any more."""
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(error or ConnectionError("the connection has ended"))

    def ask(self, *words: Word) -> asyncio.Future[Any]:
        """Write a request now; the answer can be awaited."""
        waiting = self._loop.create_future()
        self._waiting.append(waiting)
        self._transport.write(hiredis.pack_command(words))
        return waiting

    def close(self) -> None:
        """Close the socket."""
        self._transport.close()


async def connect(url: str) -> Connection:
    """A connection to the Redis of this URL."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    if parts.scheme == "unix":
        _, made = await loop.create_unix_connection(Connection, parts.path)
    else:
        _, made = await loop.create_connection(Connection, parts.hostname, parts.port or 6379)
    return made


async def load(connection: Connection, name: str) -> bytes:
    """The digest by which a script is run."""
    text = (LUA / f"{name}.lua").read_bytes()
    assert await connection.ask(b"SCRIPT", b"LOAD", text) == hashlib.sha1(text).hexdigest().encode()
    return hashlib.sha1(text).hexdigest().encode()


# -- the process that serves ---------------------------------------------------------------------------------------------


class Served:
    """The objects of a process: each has its instance, and its state as it is in Redis."""

    def __init__(self) -> None:
        self._objects: dict[bytes, Idle] = {}
        self._saved: dict[bytes, bytes] = {}

    async def handle(self, found: Sequence[tuple[bytes, Sequence[Any]]]) -> list[Word]:
        """Handle what was read, message by message; the arguments of the commit."""
        keys: list[Word] = []
        deleted: list[Word] = []
        changed: dict[bytes, bytes] = {}
        lists: list[Word] = []
        replies: list[Word] = []
        for stream, entries in found:
            keys.append(stream)
            deleted.append(len(entries))
            for entry, (_, name, _, method, _, payload, _, reply_to) in entries:
                deleted.append(entry)
                target = self._objects.get(name) or self._objects.setdefault(name, Idle())
                args, kwargs = pickle.loads(payload)
                value = await getattr(target, method.decode())(*args, **kwargs)
                state = pickle.dumps(vars(target))
                if self._saved.get(name) != state:
                    self._saved[name] = changed[name] = state
                if reply_to:
                    lists.append(reply_to)
                    replies.append(pickle.dumps(value))
        states = [word for pair in changed.items() for word in pair]
        every = [OWNER, STATES, *keys, *lists]
        return [len(every), *every, TOKEN, len(keys), *deleted, len(changed), *states, *replies]


async def serve(url: str) -> None:
    """Read 16 streams, handle, commit, for ever. The next read is asked for behind the commit, which it does not wait for."""
    reading, writing = await connect(url), await connect(url)
    await writing.ask(b"SET", OWNER, TOKEN)
    commit = await load(writing, "commit")
    places = dict.fromkeys(STREAMS, b"0")
    served = Served()
    await writing.ask(b"SET", UP, b"1")
    while True:
        names: list[Word] = [*places, *places.values()]
        found = await reading.ask(b"XREAD", b"COUNT", AT_ONCE, b"BLOCK", 1000, b"STREAMS", *names)
        if not found:
            continue
        arguments = await served.handle(found)
        committed = writing.ask(b"EVALSHA", commit, *arguments)
        committed.add_done_callback(_confirmed)
        places.update((stream, entries[-1][0]) for stream, entries in found)


def _confirmed(committed: asyncio.Future[Any]) -> None:
    if committed.cancelled() or committed.exception() is not None or committed.result() != b"ok":
        print(f"a commit was not taken: {committed}", file=sys.stderr)
        asyncio.get_running_loop().stop()


# -- the client ----------------------------------------------------------------------------------------------------------


class Client:
    """Sends, and waits for replies. Calls are one after another."""

    def __init__(self, sending: Connection, waiting: Connection, send: bytes) -> None:
        self._sending, self._waiting, self._send = sending, waiting, send
        self._number = 1

    @classmethod
    async def of(cls, url: str) -> Client:
        """A client of the process that serves there."""
        sending, waiting = await connect(url), await connect(url)
        return cls(sending, waiting, await load(sending, "send"))

    async def cast_all(self, names: Sequence[str]) -> None:
        """Send one message to each, in one script."""
        assert await self._sent(names, b"") == b"ok"

    async def call(self, name: str) -> object:
        """Send one message and wait for its reply."""
        reply = self._waiting.ask(b"BLPOP", REPLIES, 5)
        assert await self._sent((name,), REPLIES) == b"ok"
        answer = await reply
        assert answer is not None, "no reply within five seconds"
        value: object = pickle.loads(answer[1])
        return value

    def _sent(self, names: Sequence[str], reply_to: bytes) -> asyncio.Future[Any]:
        arguments: list[Word] = [self._number]
        self._number += len(names)
        for name in names:
            encoded = name.encode()
            stream = zlib.crc32(encoded) % len(STREAMS)
            arguments += (stream + 2, encoded, b"touch", ARGUMENTS, reply_to)
        return self._sending.ask(b"EVALSHA", self._send, 1 + len(STREAMS), SENDER, *STREAMS, *arguments)

    async def up(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the process serves."""
        while await self._sending.ask(b"GET", UP) is None:
            if process.poll() is not None:
                raise RuntimeError(f"the socket loop ended with {process.returncode}")
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Close its connections."""
        self._sending.close()
        self._waiting.close()


@contextlib.asynccontextmanager
async def served(url: str) -> AsyncIterator[tuple[Client, int]]:
    """A client of a process that serves, and the id of that process."""
    client = await Client.of(url)
    process = start("-m", "benchmarks.socket_loop", url)
    try:
        await client.up(process)
        yield client, process.pid
    finally:
        process.kill()
        await ended(process)
        client.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        runner.run(serve(sys.argv[1]))
