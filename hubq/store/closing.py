"""What uvloop says where asyncio raises a ``ConnectionError``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import ConnectionError as RedisConnectionError


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
