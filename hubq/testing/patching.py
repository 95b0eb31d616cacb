"""Replacing an attribute for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """``owner.name`` is replaced by ``make(owner.name)``, and comes back at the end. It must exist.

    >>> class Clock:
    ...     def time(self):
    ...         return 3
    >>> with replaced(Clock, "time", lambda time: lambda self: time(self) + 1):
    ...     Clock().time()
    4
    >>> Clock().time()
    3
    """
    own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, make(before))
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)
