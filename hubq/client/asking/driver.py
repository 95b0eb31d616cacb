"""Drivers run operations, waiting or awaiting. A face needs nothing else of its hub."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from hubq.client.asking.context import HubContext
from hubq.client.asking.feeds import FeedReader
from hubq.client.asking.loop_thread import LoopThread
from hubq.client.asking.steps import Operation
from hubq.store.connection import Server

T = TypeVar("T")


class Asker(Protocol):
    """Whoever asks in one thread. Both halves of an operation in two go to the same asker: the replies come to it alone."""

    def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end, and answer with its result."""


class Sender(Asker, Protocol):
    """One sender, of one group."""

    sender: str


class AsyncAsker(Protocol):
    """The same, awaiting."""

    def drive(self, operation: Operation[T]) -> Coroutine[Any, Any, T]:
        """See :meth:`Asker.drive`."""


class AsyncSender(AsyncAsker, Protocol):
    """The same as :class:`Sender`, awaiting."""

    sender: str
    feeds: FeedReader


class Driver(Protocol):
    """Runs the operations of one hub, in any thread."""

    def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end, and answer with its result."""

    @property
    def context(self) -> HubContext:
        """The facts of the hub, for operations."""

    @property
    def server(self) -> Server:
        """Where its Redis is (that of its first group)."""

    def asker(self) -> Asker:
        """The one of this thread."""

    def of(self, child_id: str) -> ChildDriver:
        """The driver of the group that this child is in; itself, if there is one group. Raises
        :class:`~hubq.errors.InvalidChildId`.
        """

    def close(self) -> None:
        """Close the connections; the next operation opens new ones."""


class ChildDriver(Driver, Protocol):
    """Runs operations in one group."""

    def asker(self) -> Sender:
        """The one of this thread."""

    def loop_thread(self) -> LoopThread:
        """The event loop of this process for what only an event loop does."""


class AsyncDriver(Protocol):
    """The same for any event loop."""

    def drive(self, operation: Operation[T]) -> Coroutine[Any, Any, T]:
        """See :meth:`Driver.drive`."""

    @property
    def context(self) -> HubContext:
        """See :attr:`Driver.context`."""

    @property
    def server(self) -> Server:
        """See :attr:`Driver.server`."""

    async def asker(self) -> AsyncAsker:
        """The one of this event loop."""

    def of(self, child_id: str) -> AsyncChildDriver:
        """See :meth:`Driver.of`."""

    async def close(self) -> None:
        """Close what this event loop has."""


class AsyncChildDriver(AsyncDriver, Protocol):
    """See :class:`ChildDriver`."""

    async def asker(self) -> AsyncSender:
        """The one of this event loop."""
