"""The methods that callers may call, as the handler runs them."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Protocol

from hubq.core.callable_methods import methods_of, timeout_of
from hubq.core.child import Child
from hubq.core.method_marks import is_read
from hubq.node.children.timed_out import within
from hubq.node.held.holding import HostedChild
from hubq.store.message import Message
from hubq.tracing import Tracing

#: A method, and whether it is ``async def``.
Found = tuple[Callable[..., Any], bool]


class Finds(Protocol):
    """Finds the methods of children."""

    def find(self, hosted: HostedChild, message: Message) -> Found | None:
        """The method that a message names, to be called with the instance. None: callers may call none of this name, or it only
        reads.
        """

    def read(self, hosted: HostedChild, message: Message) -> Found:
        """The method that only reads, to be called with a copy of the child."""


class Methods:
    """Finds the method that a message names."""

    def __init__(self) -> None:
        self._known: dict[type[Child], dict[str, Found]] = {}

    def find(self, hosted: HostedChild, message: Message) -> Found | None:
        """The method, to be called with the instance. None: callers may call none of this name, or it only reads."""
        found = self._known.get(hosted.kind)
        if found is None:
            kind = hosted.kind
            found = self._known[kind] = {
                name: _timed(kind, method) for name, method in methods_of(kind).items() if not is_read(method)
            }
        return found.get(message.method)

    def read(self, hosted: HostedChild, message: Message) -> Found:
        """The method that only reads, to be called with a copy of the child."""
        return _timed(hosted.kind, methods_of(hosted.kind)[message.method])


def _timed(kind: type[Child], method: Callable[..., Any]) -> Found:
    is_async, seconds = iscoroutinefunction(method), timeout_of(kind, method)
    return method if seconds is None else within(method, is_async, seconds), is_async


def ended(
    method: Callable[..., Any], instance: object, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, BaseException | None]:
    """In a thread: what the method returns, or raises. (A future cannot take a StopIteration: it would never be done.)"""
    try:
        return method(instance, *args, **kwargs), None
    except BaseException as error:
        return None, error


class TracedMethods(Methods):
    """The same for a hub that traces: each call is a span that continues its sender's trace."""

    def __init__(self, node_name: str, tracing: Tracing) -> None:
        super().__init__()
        self._node_name = node_name
        self._tracing = tracing

    def find(self, hosted: HostedChild, message: Message) -> Found | None:
        """The method inside a span."""
        found = super().find(hosted, message)
        return None if found is None else self._traced(hosted, message, found)

    def read(self, hosted: HostedChild, message: Message) -> Found:
        """The same inside a span."""
        return self._traced(hosted, message, super().read(hosted, message))

    def _traced(self, hosted: HostedChild, message: Message, found: Found) -> Found:
        method, is_async = found
        traced = self._tracing.handled(
            method, is_async, hosted.kind, hosted.child_id, self._node_name, message.method, message.payload
        )
        return traced, is_async
