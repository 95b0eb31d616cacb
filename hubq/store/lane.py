"""A lane: one connection that carries many requests at once, their answers in order (asyncio).

redis-py makes every connection: address, TLS, user and password, Sentinel, time-out of connecting. Once it stands, the
lane takes its place at the transport, because redis-py's command layer costs several times what Redis does (see
docs/performance.md): a request is one write, and its answers come back without a task switch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import hiredis
from redis.connection import DefaultParser
from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    MovedError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from hubq.store.command import Arg, Command

_NOTHING_YET = object()

#: What a Redis Cluster says. (In redis-py 5 only its own client of clusters knows these words.)
_OF_CLUSTERS: dict[str, type[ResponseError]] = {
    "ASK": AskError,
    "CLUSTERDOWN": ClusterDownError,
    "CROSSSLOT": ClusterCrossSlotError,
    "MASTERDOWN": MasterDownError,
    "MOVED": MovedError,
    "TRYAGAIN": TryAgainError,
}


def read_error(said: str) -> Exception:
    """An error as Redis says it.

    >>> [type(read_error(said)).__name__ for said in ("MOVED 14028 10.0.0.2:7001", "MOVED to somewhere")]
    ['MovedError', 'ResponseError']
    """
    word, _, rest = said.partition(" ")
    kind = _OF_CLUSTERS.get(word)
    if kind is None:
        error: Exception = DefaultParser.parse_error(said)  # type: ignore[no-untyped-call]
        return error
    try:
        return kind(rest)
    except ValueError:
        return ResponseError(said)


def packed(args: Sequence[Arg]) -> bytes:
    """A command as it travels.

    >>> packed(("GET", b"a"))
    b'*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\na\\r\\n'
    """
    data: bytes = hiredis.pack_command(tuple(args))  # type: ignore[arg-type]  # its stub names one tuple length
    return data


def packed_all(commands: Sequence[Command[Any]]) -> bytes:
    """Commands as they travel."""
    return _packed(commands[0]) if len(commands) == 1 else b"".join([_packed(command) for command in commands])


def _packed(command: Command[Any]) -> bytes:
    return packed(command.args) if command.data is None else command.data


def place_of(connection: Any) -> str:
    """Where a connection of redis-py leads, for messages to people: behind one URL there may be many nodes.

    >>> import redis
    >>> place_of(redis.Connection("10.0.0.1", 7000))
    '10.0.0.1:7000'
    >>> place_of(redis.UnixDomainSocketConnection("/run/redis.sock"))
    '/run/redis.sock'
    """
    path = getattr(connection, "path", "")
    return path or f"{connection.host}:{connection.port}"


class Receiver(Protocol):
    """Is told what a request has come to, in the moment when it is known: a future, or what needs none. It never raises."""

    def done(self) -> bool:
        """Whether it wants to hear nothing any more."""

    def set_result(self, result: list[Any], /) -> None:
        """The answers."""

    def set_exception(self, exception: Exception, /) -> None:
        """Nobody knows whether the commands were run."""


class Lane(asyncio.Protocol):
    """One connection. ``lost`` once it is of no more use. ``era``: how often another Redis had answered when it was made."""

    def __init__(self, connection: Any, answer_timeout: float, era: int = 0) -> None:
        self.lost = False
        self.era = era
        self._place = place_of(connection)
        # redis-py must think that it has no stream any more, else it would close or read it; but the writer must live,
        # since it closes its transport when it is collected.
        self._streams = connection._writer, connection._reader
        connection._writer = connection._reader = None
        transport = self._streams[0].transport
        self._former = transport.get_protocol()
        self._transport: Any = transport
        self._loop = asyncio.get_running_loop()
        self._answer_timeout = answer_timeout
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=read_error, notEnoughData=_NOTHING_YET)
        self._waiting: deque[tuple[int, Receiver]] = deque()
        self._answers: list[Any] = []
        self._retired = False
        self._together: list[bytes] | None = None  # what goes out in one write soon
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    def request(self, data: bytes, answers: int) -> asyncio.Future[list[Any]]:
        """Send packed commands; their answers, in order. Errors of Redis are answers, too.

        The future raises redis-py's ``ConnectionError`` or ``TimeoutError`` if the connection goes, or is silent for too
        long: then nobody knows whether the commands were run.
        """
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self.ask(data, (answers, future))
        return future

    def ask(self, data: bytes, *asked: tuple[int, Receiver]) -> None:
        """The same for several requests in one write: how many answers belong to each, and who is told of them."""
        if self.lost:
            for _, receiver in asked:
                receiver.set_exception(RedisConnectionError("connection lost"))
            return
        if not self._waiting:
            self._heard = self._loop.time()
            if self._watch is None:
                self._watch = self._loop.call_later(self._answer_timeout, self._look)
        self._waiting += asked
        if self._together is None:
            self._write(data)
        else:
            self._together.append(data)

    def one_write(self) -> None:
        """Send in one write what is asked by callbacks that the loop has been given already."""
        if self._together is None:
            self._together = []
            self._loop.call_soon(self._write_together)

    def _write_together(self) -> None:
        together, self._together = self._together, None
        if together and not self.lost:
            self._write(b"".join(together))

    def _write(self, data: bytes) -> None:
        try:
            self._transport.write(data)
        except RuntimeError as error:  # uvloop's word for a connection that the other side has just closed
            self._lose(RedisConnectionError(str(error)))

    def close(self) -> None:
        """Close the connection; requests under way fail."""
        self._lose(RedisConnectionError("connection closed"))

    def retire(self) -> None:
        """Close the connection as soon as the requests under way are answered. It is given no other."""
        if self._waiting:
            self._retired = True
        else:
            self.close()

    def _look(self) -> None:
        self._watch = None
        if not self._waiting:
            return
        left = self._heard + self._answer_timeout - self._loop.time()
        if left <= 0:
            self._lose(RedisTimeoutError(f"no answer within {self._answer_timeout:g} s from {self._place}"))
        else:
            self._watch = self._loop.call_later(left, self._look)

    def _lose(self, error: Exception) -> None:
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for _, receiver in waiting:
            if not receiver.done():
                receiver.set_exception(error)

    # -- what asyncio tells us -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from Redis."""
        self._heard = self._loop.time()
        reader, answers = self._reader, self._answers
        reader.feed(data)
        try:
            # (A receiver may ask on, or close the connection.)
            while self._waiting and (answer := reader.gets()) is not _NOTHING_YET:
                answers.append(answer)
                if len(answers) == self._waiting[0][0]:
                    _, receiver = self._waiting.popleft()
                    self._answers, found = [], answers
                    answers = self._answers
                    if not receiver.done():
                        receiver.set_result(found)
        except InvalidResponse as error:
            self._lose(RedisConnectionError(f"not a Redis answer: {error}"))
        if self._retired and not self._waiting:
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has gone."""
        self._former.connection_lost(None)
        self._lose(RedisConnectionError(f"connection lost ({error})" if error else "connection closed by the server"))


@contextmanager
def connection_errors() -> Iterator[None]:
    """A connection that the other side has just closed is a lost one: to write to it is a ``RuntimeError`` of uvloop.

    >>> with connection_errors():
    ...     raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
    Traceback (most recent call last):
    redis.exceptions.ConnectionError: unable to perform operation on <TCPTransport closed=True>; the handler is closed
    """
    try:
        yield
    except RuntimeError as error:
        if "closed" not in str(error):
            raise
        raise RedisConnectionError(str(error)) from error
