"""How senders name the methods of children."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from hubq.core.callable_methods import is_callable_name, methods_of
from hubq.core.child import Child
from hubq.errors import ConfigError, UnknownMethod

#: A method of a child: its name, or the function in the class (``Room.post``).
Method = str | Callable[..., Any]

_KNOWN: WeakKeyDictionary[type[Child], dict[str, Callable[..., Any]]] = WeakKeyDictionary()


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


def method_of_class(kind: type[Child], method: Method) -> tuple[str, Callable[..., Any]]:
    """The name of a method of this class, given as ``Room.post`` or by its name; and the method itself.

    Raises :class:`~hubq.errors.UnknownMethod` if callers can call no such method of the class.

    >>> class Room(Child):
    ...     def post(self): ...
    >>> class Stock(Child):
    ...     def take(self): ...
    >>> method_of_class(Room, Room.post) == method_of_class(Room, "post") == ("post", Room.post)
    True
    >>> method_of_class(Room, Stock.take)
    Traceback (most recent call last):
    hubq.errors.UnknownMethod: class Room has no method 'take'; it has: post
    """
    name = name_of_method(method)
    known = _KNOWN.get(kind)
    if known is None:
        known = _KNOWN[kind] = methods_of(kind)
    found = known.get(name)
    if found is None:
        raise UnknownMethod(
            f"class {kind.__name__} has no method {name!r}; it has: {', '.join(sorted(known)) or 'none'}"
        )
    if found is not method and not isinstance(method, str):
        bases = [vars(base).get(name) for base in kind.__mro__]  # the method of a base that this class has overridden
        if method not in bases:
            raise UnknownMethod(
                f"{method.__qualname__} is no method of class {kind.__name__}: give {kind.__name__}.{name}"
            )
    return name, found
