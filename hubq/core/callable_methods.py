"""Which methods of a class callers may call, and what holds for each of them."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from hubq.core.child import Child, FunctionChild
from hubq.core.method_marks import is_read
from hubq.core.retry import MARK, Retry

#: Names of ``Child`` that a class may not define: its own code, and hubq's, would not get what it asks for.
FIXED = frozenset(
    {
        "remind",
        "forget",
        "reminders",
        "commit",
        "stop",
        "ref",
        "enqueue",
        "publish",
        "child_id",
        "node_name",
        "metadata",
        "redundancy_mode",
    }
)
#: Names of ``Child`` that a class defines for hubq to call. Callers cannot call them.
HEARD = frozenset(
    {
        "run",
        "on_start",
        "on_stop",
        "prepare_handover_state",
        "alter_handover_state",
        "upgrade_state",
        "downgrade_state",
        "on_redundancy_signal",
    }
)
#: Names of ``Child`` that are settings of a class.
OPTIONS = frozenset(
    name
    for name, value in vars(Child).items()
    if not name.startswith("_") and not callable(value) and not isinstance(value, property)
)
#: Names of ``Child`` that callers cannot call.
RESERVED = FIXED | HEARD | OPTIONS
#: The longest name of a method that can be called, characters.
MOST_METHOD = 64


def is_callable_name(name: str) -> bool:
    """Whether a method of this name may be called by callers, if there is one.

    >>> is_callable_name("post"), is_callable_name("_x"), is_callable_name("run")
    (True, False, False)
    """
    return not name.startswith("_") and name not in RESERVED


def is_method_name(name: object) -> bool:
    """Whether a method that callers may call can have this name.

    >>> is_method_name("post"), is_method_name("_post"), is_method_name("a.b"), is_method_name("x" * 65)
    (True, True, False, False)
    """
    return isinstance(name, str) and len(name) <= MOST_METHOD and name.isidentifier()


def methods_of(kind: type[Child]) -> dict[str, Callable[..., Any]]:
    """The methods that callers may call, by name: plain functions (``def``, ``async def``) of a class that derives from
    :class:`Child`, but no reserved names, and none that begin with an underscore. Static and class methods, callable objects,
    nested classes, and what a mixin defines that does not derive from ``Child`` are not callable.

    >>> class Mixin:
    ...     def clear(self): ...
    >>> class Room(Mixin, Child):
    ...     def post(self): ...
    ...     async def on_start(self): ...
    ...     make = classmethod(lambda kind: kind())
    >>> methods_of(Room) == {"post": Room.post}
    True
    """
    found: dict[str, Callable[..., Any]] = {}
    seen = set(RESERVED)
    for base in kind.__mro__:  # the first one that has a name decides about it
        if base in (Child, FunctionChild):
            break
        for name, value in vars(base).items():
            if name in seen or name.startswith("_") or not is_method_name(name):
                continue
            seen.add(name)
            if isinstance(value, FunctionType) and issubclass(base, Child):
                found[name] = value
    return found


def reads_of(kind: type[Child]) -> frozenset[str]:
    """The names of the methods that only read."""
    return frozenset(name for name, method in methods_of(kind).items() if is_read(method))


def timeout_of(kind: type[Child], method: Callable[..., Any]) -> float | None:
    """How long a method may take, seconds."""
    limit: float | None = getattr(method, "hubq_time_limit", kind.handler_timeout)
    return limit


def retry_of(kind: type[Child], method: str) -> Retry | None:
    """How a message for a method is tried again; None: not at all.

    >>> class Order(Child):
    ...     retry = Retry(max=5)
    ...     @Retry(max=1)
    ...     async def charge(self): ...
    ...     async def ship(self): ...
    >>> retry_of(Order, "charge").max, retry_of(Order, "ship").max
    (1, 5)
    """
    terms: Retry | None = getattr(methods_of(kind).get(method), MARK, kind.retry)
    return terms
