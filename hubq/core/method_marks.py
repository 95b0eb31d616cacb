"""Marks that users put on single methods of a child: how long it may take, and that it only reads."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

from hubq.errors import ConfigError

M = TypeVar("M", bound=Callable[..., Any])


def time_limit(seconds: float | None) -> Callable[[M], M]:
    """The ``handler_timeout`` of one method, whatever its class says; None: it may take for ever.

    >>> from hubq.core.callable_methods import timeout_of
    >>> from hubq.core.child import Child
    >>> class Shop(Child):
    ...     handler_timeout = 5.0
    ...     @time_limit(60.0)
    ...     async def restock(self): ...
    >>> timeout_of(Shop, Shop.restock)
    60.0

    Raises :class:`~hubq.errors.ConfigError` for what is no number of seconds above 0.
    """
    checked_limit("time_limit", seconds)

    def mark(method: M) -> M:
        method.__dict__["hubq_time_limit"] = seconds
        return method

    return mark


def read(method: M) -> M:
    """Mark a method as one that only reads. It runs beside the handler in hand, on the last committed state.

    >>> from hubq.core.callable_methods import reads_of
    >>> from hubq.core.child import Child
    >>> class Room(Child):
    ...     @read
    ...     async def topic_now(self): ...
    >>> reads_of(Room)
    frozenset({'topic_now'})

    Raises :class:`~hubq.errors.ConfigError` for what is no function.
    """
    if not isinstance(method, FunctionType):
        raise ConfigError(f"@read {method!r}: it goes directly above a `def` or `async def` of the class")
    method.__dict__["hubq_read"] = True
    return method


def is_read(method: Callable[..., Any]) -> bool:
    """Whether a method is marked with :func:`read`."""
    return "hubq_read" in vars(method)


def checked_limit(what: str, seconds: float | None) -> None:
    """Raise :class:`~hubq.errors.ConfigError` unless it is None or seconds above 0."""
    if seconds is not None and (
        isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf")
    ):
        raise ConfigError(f"{what}={seconds!r}: give seconds above 0, or None for no limit")
