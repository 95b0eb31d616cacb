"""What runs operations: all that a face needs of its hub, whether it waits or awaits."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Operation
from hubq.store.connection import Server

T = TypeVar("T")


class Asker(Protocol):
    """One sender: replies to what it has sent come to it alone. An operation in two parts is given to one asker."""

    def drive(self, operation: Operation[T]) -> T:
        """Run an operation to its end, and answer with its result."""


class AsyncAsker(Protocol):
    """The same, awaiting."""

    def drive(self, operation: Operation[T]) -> Coroutine[Any, Any, T]:
        """See :meth:`Asker.drive`."""


class Driver(Asker, Protocol):
    """Runs the operations of one hub in whichever thread asks."""

    @property
    def context(self) -> HubContext:
        """What operations are given to know of their hub."""

    @property
    def server(self) -> Server:
        """Where its Redis is."""

    def asker(self) -> Asker:
        """The one of this thread."""


class AsyncDriver(AsyncAsker, Protocol):
    """The same for whichever event loop asks."""

    @property
    def context(self) -> HubContext:
        """See :attr:`Driver.context`."""

    async def asker(self) -> AsyncAsker:
        """The one of this event loop."""
