"""A lane for those who wait: one connection that carries one request at a time, below redis-py's command layer.

As with :mod:`hubq.store.lane`, redis-py makes the connection: address, TLS, user and password, Sentinel, time-outs. The
lane then writes to its socket and reads from it by itself, with the socket's own methods only, so that sockets of TLS and
of gevent do as well.
"""

from __future__ import annotations

import math
import os
import select
import socket
from typing import Any

import hiredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

from hubq.store.lane import place_of, read_error

_NOTHING_YET = object()

#: The answer time-out bounds one write of a socket from beginning to end: what is larger than this goes out in pieces,
#: bytes.
_PIECE = 65_536


def has_socket(connection: Any) -> bool:
    """Whether a lane can take its place on a connection of redis-py: not on fakeredis, which has no socket, and not if the
    URL asks for redis-py's own health checks.
    """
    return isinstance(getattr(connection, "_sock", None), socket.socket) and not connection.health_check_interval


class SyncLane:
    """One connection. ``lost`` once it is of no more use. For one thread at a time, in the process that made it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.lost = False
        self.pid = os.getpid()
        self._socket: Any = connection._sock
        self._unread = getattr(self._socket, "pending", None)  # TLS: bytes that were received and not asked for yet
        self._buffer = bytearray(16_384)
        self._reader = hiredis.Reader(protocolError=InvalidResponse, replyError=read_error, notEnoughData=_NOTHING_YET)

    def quiet(self) -> bool:
        """Whether it may carry the next request: nobody has closed it, and nothing is left to be read.

        What Redis closed while the lane was idle is noticed here, and not by a request that then fails.
        """
        if self.lost or self._reader.has_data() or (self._unread is not None and self._unread()):
            return False
        try:
            if not hasattr(select, "poll"):  # Windows, eventlet
                return not self.connection.can_read()
            poll = select.poll()  # made anew each time: under gevent it belongs to the thread that made it
            poll.register(self._socket, select.POLLIN)
            return not poll.poll(0)
        except (RedisConnectionError, OSError, ValueError):  # ValueError: it has been closed on our side
            return False

    def request(self, data: bytes, answers: int) -> list[Any]:
        """Send packed commands and wait for their answers, in order. Errors of Redis are answers, too.

        Raises redis-py's ``ConnectionError`` or ``TimeoutError`` if the connection goes, or is silent for too long: then
        nobody knows whether the commands were run. Whatever is raised, the connection is closed: an answer may still
        come, and nobody may take it for his.
        """
        found = self._exchange(data, answers, None)
        assert found is not None
        return found

    def heard(self, answers: int, within: float | None = None) -> list[Any] | None:
        """The answers that are still to come to what was sent, in order. None: they have not come within so many seconds, and may be waited
        for again. Raises what :meth:`request` raises.
        """
        return self._exchange(b"", answers, within)

    def _exchange(self, data: bytes, answers: int, within: float | None) -> list[Any] | None:
        try:
            if within is None:
                found = self._answers(data, answers)
            else:
                limit = self._socket.gettimeout()
                self._socket.settimeout(within)
                try:
                    found = self._answers(data, answers)
                except RedisTimeoutError:
                    return None
                finally:
                    self._socket.settimeout(limit)
        except BaseException:
            self.close()
            raise
        for answer in found:
            if isinstance(answer, RedisConnectionError):  # it is loading its data, say: Sentinel may know a better one
                self.close()
                break
        return found

    def _answers(self, data: bytes, answers: int) -> list[Any]:
        found: list[Any] = []
        gets, receive, buffer = self._reader.gets, self._socket.recv_into, self._buffer
        try:
            if data:
                self._write(data)
            while len(found) < answers:
                if (answer := gets()) is not _NOTHING_YET:
                    found.append(answer)
                elif size := receive(buffer):
                    self._reader.feed(buffer, 0, size)  # type: ignore[arg-type]  # it takes any buffer
                else:
                    raise RedisConnectionError("connection closed by the server")
        except TimeoutError as error:
            limit = self._socket.gettimeout() or math.inf  # without one it was TCP that gave up
            raise RedisTimeoutError(f"no answer within {limit:g} s from {place_of(self.connection)}") from error
        except InvalidResponse as error:
            raise RedisConnectionError(f"not a Redis answer: {error}") from error
        except OSError as error:
            raise RedisConnectionError(f"connection lost ({error})") from error
        return found

    def _write(self, data: bytes) -> None:
        if len(data) <= _PIECE:
            self._socket.sendall(data)
            return
        view = memoryview(data)
        for first in range(0, len(data), _PIECE):
            self._socket.sendall(view[first : first + _PIECE])

    def close(self) -> None:
        """Close the connection."""
        self.lost = True
        self.connection.disconnect()
