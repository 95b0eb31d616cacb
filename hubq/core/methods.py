"""How senders name the methods of children."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubq.core.child import is_callable_name
from hubq.errors import ConfigError, UnknownMethod

#: A method of a child: its name, or the function in the class (``Room.post``).
Method = str | Callable[..., Any]


def name_of_method(method: Method) -> str:
    """The name of a method, or an error that says what to give.

    >>> class Room:
    ...     def post(self): ...
    >>> name_of_method("post"), name_of_method(Room.post)
    ('post', 'post')
    """
    if isinstance(method, str):
        return method
    name = getattr(method, "__name__", None)
    if not callable(method) or isinstance(method, type) or not isinstance(name, str):
        raise ConfigError(f"method {method!r}: give its name, or the function in the child's class (Room.post)")
    if not name.isidentifier() or not is_callable_name(name):
        raise UnknownMethod(f"{getattr(method, '__qualname__', name)} is no method that callers may call")
    return name
