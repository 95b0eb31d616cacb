"""References to children by their names alone. ``hubq.client.faces.typed_ref`` has those that know the class."""

from __future__ import annotations

from typing import Any

from hubq.client.asking.driver import AsyncDriver, Driver
from hubq.client.faces.asks import begin, begin_async, call, call_async, cast, cast_async, named
from hubq.client.faces.call_future import AsyncCallFuture, CallFuture
from hubq.client.operations.call_options import PLAIN, CallOptions
from hubq.core.hashing import checked_child_id
from hubq.core.methods import Method, name_of_method
from hubq.store.codec import encode_json


def json_payload(args: list[Any]) -> bytes:
    """Arguments given as JSON values (by the CLI)."""
    return encode_json([args, {}])


class ChildRef:
    """A child by its name; made without asking Redis."""

    __slots__ = ("_driver", "_options", "child_id")

    def __init__(self, driver: Driver, child_id: str, options: CallOptions = PLAIN) -> None:
        self._driver = driver
        self._options = options
        self.child_id = checked_child_id(child_id)

    def options(
        self, *, timeout: float | None = None, key: str | None = None, keep: float | None = None,
        cancel_on_timeout: bool | None = None,
    ) -> ChildRef:  # fmt: skip
        """The same child, called with these options.

        ``timeout``: seconds to wait for the result. ``cancel_on_timeout``: a call that is not answered in time is cancelled.
        ``key``: the child handles one message with this key, and answers others with the outcome of that one, for ``keep``
        seconds (a day). docs/guide-calls.md has the rules.

        Raises :class:`~hubq.errors.ConfigError` for a value that an option cannot have.
        """
        return ChildRef(self._driver, self.child_id, self._options.changed(timeout, key, keep, cancel_on_timeout))

    def call(self, method: Method, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a method (``"post"`` or ``Room.post``) and wait for its result, at most ``timeout`` seconds: 10, if
        :meth:`options` says nothing else. (That is longer than a take-over: ``hubq.config``.)

        Raises :class:`~hubq.errors.CallFailed` if the method raised, :class:`~hubq.errors.CallTimeout`,
        :class:`~hubq.errors.UnknownChild`, :class:`~hubq.errors.UnknownMethod`, :class:`~hubq.errors.MailboxFull`,
        :class:`~hubq.errors.RedisUnavailable`.
        """
        options = self._options if timeout is None else self._options.changed(timeout)
        return call(self._driver, self.child_id, named(method), args, kwargs, options)

    def begin(self, method: Method, *args: Any, **kwargs: Any) -> CallFuture[Any]:
        """Call a method, and wait for its result later: ``future.result()``. ``future.cancel()`` cancels it.

        Raises what sending it raises: :class:`~hubq.errors.UnknownChild`, :class:`~hubq.errors.MailboxFull`,
        :class:`~hubq.errors.RedisUnavailable`.
        """
        return begin(self._driver, self.child_id, named(method), args, kwargs, self._options)

    def cast(self, method: Method, *args: Any, **kwargs: Any) -> None:
        """Send a message; returns when it is safe in the child's mailbox."""
        cast(self._driver, self.child_id, name_of_method(method), args, kwargs, self._options)

    def __repr__(self) -> str:
        return f"<ChildRef {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"


class AsyncChildRef:
    """The same as :class:`ChildRef`, awaiting."""

    __slots__ = ("_driver", "_options", "child_id")

    def __init__(self, driver: AsyncDriver, child_id: str, options: CallOptions = PLAIN) -> None:
        self._driver = driver
        self._options = options
        self.child_id = checked_child_id(child_id)

    def options(
        self, *, timeout: float | None = None, key: str | None = None, keep: float | None = None,
        cancel_on_timeout: bool | None = None,
    ) -> AsyncChildRef:  # fmt: skip
        """See :meth:`ChildRef.options`."""
        return AsyncChildRef(self._driver, self.child_id, self._options.changed(timeout, key, keep, cancel_on_timeout))

    async def call(self, method: Method, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """See :meth:`ChildRef.call`."""
        options = self._options if timeout is None else self._options.changed(timeout)
        return await call_async(self._driver, self.child_id, named(method), args, kwargs, options)

    def begin(self, method: Method, *args: Any, **kwargs: Any) -> AsyncCallFuture[Any]:
        """Call a method, and await its result later: ``await future``. ``await future.cancel()`` cancels it. (What sending it raises
        is raised by ``await future``.)
        """
        return begin_async(self._driver, self.child_id, named(method), args, kwargs, self._options)

    async def cast(self, method: Method, *args: Any, **kwargs: Any) -> None:
        """See :meth:`ChildRef.cast`. Casts awaited together (``asyncio.gather``) share a round trip."""
        await cast_async(self._driver, self.child_id, name_of_method(method), args, kwargs, self._options)

    def __repr__(self) -> str:
        return f"<AsyncChildRef {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"
