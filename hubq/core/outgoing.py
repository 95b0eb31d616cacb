"""What a child says to other children while it handles a message: it leaves with the commit (docs/effects.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple, ParamSpec, Protocol, overload

from hubq.errors import ConfigError

P = ParamSpec("P")
#: A method, or its name.
Called = str | Callable[..., Any]


class Target(NamedTuple):
    """What another child is, as the child that names it says: its class, and arguments for its ``__init__``."""

    kind: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Outgoing(Protocol):
    """Takes what a child says."""

    def says(
        self, target: Target | None, child_id: str, method: Called | None,
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> None:  # fmt: skip
        """A message to another child, which starts it if its class has ``activate=True``; ``method`` None: start it, as
        ``target`` with these arguments.
        """


class OutgoingRef:
    """Another child, as a child names it in a handler: ``self.ref(Stock, "stock-7")``.

    What is said to it leaves with the commit of the message in hand, once, or not at all. Nothing is awaited, and nothing is
    answered.
    """

    __slots__ = ("_host", "_target", "child_id")

    def __init__(self, host: Outgoing, child_id: str, target: Target | None = None) -> None:
        self._host = host
        self._target = target
        self.child_id = child_id

    @overload
    def cast(self, method: Callable[Concatenate[Any, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    @overload
    def cast(self, method: str, /, *args: Any, **kwargs: Any) -> None: ...

    def cast(self, method: Any, /, *args: Any, **kwargs: Any) -> None:
        """Send a message with the commit. ``method``: a method of its class (``Stock.take``), or its name. If its class is known
        and has ``activate=True``, the message starts it if it is not there.

        Raises :class:`~hubq.errors.UnknownMethod` if the class is known and has no such method, or it is that of another class,
        :class:`~hubq.errors.NotSendable`, and :class:`~hubq.errors.OutsideHandler`.
        """
        self._host.says(self._target, self.child_id, method, args, kwargs)

    def start(self, *args: Any, **kwargs: Any) -> None:
        """Start the child with the commit; the arguments are those of its ``__init__`` (none: those of the reference). A child that
        is there stays as it is.

        Raises :class:`~hubq.errors.ConfigError` if the reference names no class or the arguments do not fit,
        :class:`~hubq.errors.NotSendable`, and
        :class:`~hubq.errors.OutsideHandler`.
        """
        if self._target is None:
            raise ConfigError(f"child {self.child_id!r} cannot be started by its name alone: self.ref(Class, name)")
        if not args and not kwargs:
            args, kwargs = self._target.args, self._target.kwargs
        self._host.says(self._target, self.child_id, None, args, kwargs)

    def __repr__(self) -> str:
        return f"<OutgoingRef {self.child_id!r}>"
