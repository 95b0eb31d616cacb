"""A lane: one connection that carries many requests at once, their answers in order (asyncio).

redis-py makes every connection: address, TLS, user and password, Sentinel, time-out of connecting. Once it stands, the
lane takes its place at the transport, because redis-py's command layer costs several times what Redis does (see
docs/performance.md): a request is one write, and its answers come back without a task switch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis
from redis.connection import DefaultParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

from hubq.store.command import Arg

_NOTHING_YET = object()


def packed(args: Sequence[Arg]) -> bytes:
    """A command as it travels.

    >>> packed(("GET", b"a"))
    b'*2\\r\\n$3\\r\\nGET\\r\\n$1\\r\\na\\r\\n'
    """
    data: bytes = hiredis.pack_command(tuple(args))  # type: ignore[arg-type]  # its stub names one tuple length
    return data


class Lane(asyncio.Protocol):
    """One connection. ``lost`` once it is of no more use. ``era``: how often another Redis had answered when it was made."""

    def __init__(self, connection: Any, answer_timeout: float, era: int = 0) -> None:
        self.lost = False
        self.era = era
        # redis-py must think that it has no stream any more, else it would close or read it; but the writer must live,
        # since it closes its transport when it is collected.
        self._streams = connection._writer, connection._reader
        connection._writer = connection._reader = None
        transport = self._streams[0].transport
        self._former = transport.get_protocol()
        self._transport: Any = transport
        self._loop = asyncio.get_running_loop()
        self._answer_timeout = answer_timeout
        self._reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=DefaultParser.parse_error, notEnoughData=_NOTHING_YET
        )
        self._waiting: deque[tuple[int, asyncio.Future[list[Any]]]] = deque()
        self._answers: list[Any] = []
        self._heard = 0.0
        self._watch: asyncio.TimerHandle | None = None
        transport.set_protocol(self)

    def request(self, data: bytes, answers: int) -> asyncio.Future[list[Any]]:
        """Send packed commands; their answers, in order. Errors of Redis are answers, too.

        The future raises redis-py's ``ConnectionError`` or ``TimeoutError`` if the connection goes, or is silent for too
        long: then nobody knows whether the commands were run.
        """
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        if self.lost:
            future.set_exception(RedisConnectionError("connection lost"))
            return future
        if not self._waiting:
            self._heard = self._loop.time()
            if self._watch is None:
                self._watch = self._loop.call_later(self._answer_timeout, self._look)
        self._waiting.append((answers, future))
        try:
            self._transport.write(data)
        except RuntimeError as error:  # uvloop's word for a connection that the other side has just closed
            self._lose(RedisConnectionError(str(error)))
        return future

    def close(self) -> None:
        """Close the connection; requests under way fail."""
        self._lose(RedisConnectionError("connection closed"))

    def retire(self) -> None:
        """Close the connection as soon as the requests under way are answered. It is given no other."""
        if self._waiting:
            self._waiting[-1][1].add_done_callback(lambda _: self.close())
        else:
            self.close()

    def _look(self) -> None:
        self._watch = None
        if not self._waiting:
            return
        left = self._heard + self._answer_timeout - self._loop.time()
        if left <= 0:
            self._lose(RedisTimeoutError(f"no answer within {self._answer_timeout:g} s"))
        else:
            self._watch = self._loop.call_later(left, self._look)

    def _lose(self, error: Exception) -> None:
        self.lost = True
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._transport.abort()
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)

    # -- what asyncio tells us -------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes from Redis."""
        self._heard = self._loop.time()
        reader, waiting, answers = self._reader, self._waiting, self._answers
        reader.feed(data)
        try:
            while waiting and (answer := reader.gets()) is not _NOTHING_YET:
                answers.append(answer)
                if len(answers) == waiting[0][0]:
                    _, future = waiting.popleft()
                    if not future.done():
                        future.set_result(answers)
                    self._answers = answers = []
        except InvalidResponse as error:
            self._lose(RedisConnectionError(f"not a Redis answer: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        """The connection has gone."""
        self._former.connection_lost(None)
        self._lose(RedisConnectionError(f"connection lost ({error})" if error else "connection closed by the server"))
