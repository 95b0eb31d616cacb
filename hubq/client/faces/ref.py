"""References to children by their names alone. ``hubq.client.faces.typed_ref`` has those that know the class."""

from __future__ import annotations

from typing import Any

from hubq.client.asking.driver import AsyncDriver, Driver
from hubq.client.faces.asks import call, call_async, cast, cast_async
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

    def options(self, *, timeout: float | None = None) -> ChildRef:
        """The same child, called with these options. ``timeout``: seconds to wait for the result.

        Raises :class:`~hubq.errors.ConfigError` for what is no time-out.
        """
        return ChildRef(self._driver, self.child_id, self._options.changed(timeout))

    def call(self, method: Method, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """Call a method (``"post"`` or ``Room.post``) and wait for its result, at most ``timeout`` seconds: 10, if
        :meth:`options` says nothing else. (That is longer than a take-over: ``hubq.config``.)

        Raises :class:`~hubq.errors.CallFailed` if the method raised, :class:`~hubq.errors.CallTimeout`,
        :class:`~hubq.errors.UnknownChild`, :class:`~hubq.errors.UnknownMethod`, :class:`~hubq.errors.MailboxFull`,
        :class:`~hubq.errors.RedisUnavailable`.
        """
        if type(method) is not str:
            method = name_of_method(method)
        options = self._options if timeout is None else self._options.changed(timeout)
        return call(self._driver, self.child_id, method, args, kwargs, options)

    def cast(self, method: Method, *args: Any, **kwargs: Any) -> None:
        """Send a message; returns when it is safe in the child's mailbox."""
        if type(method) is not str:
            method = name_of_method(method)
        cast(self._driver, self.child_id, method, args, kwargs)

    def __repr__(self) -> str:
        return f"<ChildRef {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"


class AsyncChildRef:
    """The same as :class:`ChildRef`, awaiting."""

    __slots__ = ("_driver", "_options", "child_id")

    def __init__(self, driver: AsyncDriver, child_id: str, options: CallOptions = PLAIN) -> None:
        self._driver = driver
        self._options = options
        self.child_id = checked_child_id(child_id)

    def options(self, *, timeout: float | None = None) -> AsyncChildRef:
        """See :meth:`ChildRef.options`."""
        return AsyncChildRef(self._driver, self.child_id, self._options.changed(timeout))

    async def call(self, method: Method, *args: Any, timeout: float | None = None, **kwargs: Any) -> Any:
        """See :meth:`ChildRef.call`."""
        if type(method) is not str:
            method = name_of_method(method)
        options = self._options if timeout is None else self._options.changed(timeout)
        return await call_async(self._driver, self.child_id, method, args, kwargs, options)

    async def cast(self, method: Method, *args: Any, **kwargs: Any) -> None:
        """See :meth:`ChildRef.cast`. Casts awaited together (``asyncio.gather``) share a round trip."""
        if type(method) is not str:
            method = name_of_method(method)
        await cast_async(self._driver, self.child_id, method, args, kwargs)

    def __repr__(self) -> str:
        return f"<AsyncChildRef {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"
