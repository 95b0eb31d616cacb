"""References to children: a name to call and cast by."""

from __future__ import annotations

from typing import Any

from hubq.client.asking.driver import AsyncDriver, Driver
from hubq.client.operations import calls
from hubq.config import CALL_TIMEOUT
from hubq.core.hashing import checked_child_id
from hubq.core.methods import Method, name_of_method
from hubq.store.codec import encode_arguments, encode_json


def payload_of(child_id: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Arguments as they travel."""
    return encode_arguments(args, kwargs, f"{child_id}.{method}")


def json_payload(args: list[Any]) -> bytes:
    """Arguments given as JSON values (by the CLI)."""
    return encode_json([args, {}])


class ChildRef:
    """A child by its name; made without asking Redis."""

    __slots__ = ("_driver", "child_id")

    def __init__(self, driver: Driver, child_id: str) -> None:
        self._driver = driver
        self.child_id = checked_child_id(child_id)

    def call(self, method: Method, *args: Any, timeout: float = CALL_TIMEOUT, **kwargs: Any) -> Any:
        """Call a method (``"post"`` or ``Room.post``) and wait for its result, at most ``timeout`` seconds. (The default is
        longer than a take-over: ``hubq.config``.)

        Raises :class:`~hubq.errors.CallFailed` if the method raised, :class:`~hubq.errors.CallTimeout`,
        :class:`~hubq.errors.UnknownChild`, :class:`~hubq.errors.UnknownMethod`, :class:`~hubq.errors.MailboxFull`,
        :class:`~hubq.errors.RedisUnavailable`.
        """
        if type(method) is not str:
            method = name_of_method(method)
        payload, driver = payload_of(self.child_id, method, args, kwargs), self._driver
        context = driver.context
        if context.tracing is None:
            return driver.drive(calls.call(context, self.child_id, method, payload, timeout))
        with context.tracing.sending("call", self.child_id, method) as traced:
            return driver.drive(calls.call(context, self.child_id, method, traced(payload), timeout))

    def cast(self, method: Method, *args: Any, **kwargs: Any) -> None:
        """Send a message; returns when it is safe in the child's mailbox."""
        if type(method) is not str:
            method = name_of_method(method)
        payload, driver = payload_of(self.child_id, method, args, kwargs), self._driver
        context = driver.context
        if context.tracing is None:
            driver.drive(calls.send(context, self.child_id, method, payload, timeout=0, reply=False))
            return
        with context.tracing.sending("cast", self.child_id, method) as traced:
            driver.drive(calls.send(context, self.child_id, method, traced(payload), timeout=0, reply=False))

    def __repr__(self) -> str:
        return f"<ChildRef {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"


class AsyncChildRef:
    """The same as :class:`ChildRef`, awaiting."""

    __slots__ = ("_driver", "child_id")

    def __init__(self, driver: AsyncDriver, child_id: str) -> None:
        self._driver = driver
        self.child_id = checked_child_id(child_id)

    async def call(self, method: Method, *args: Any, timeout: float = CALL_TIMEOUT, **kwargs: Any) -> Any:
        """See :meth:`ChildRef.call`."""
        if type(method) is not str:
            method = name_of_method(method)
        payload, driver = payload_of(self.child_id, method, args, kwargs), self._driver
        context = driver.context
        if context.tracing is None:
            return await driver.drive(calls.call(context, self.child_id, method, payload, timeout))
        with context.tracing.sending("call", self.child_id, method) as traced:
            return await driver.drive(calls.call(context, self.child_id, method, traced(payload), timeout))

    async def cast(self, method: Method, *args: Any, **kwargs: Any) -> None:
        """See :meth:`ChildRef.cast`. Casts awaited together (``asyncio.gather``) share a round trip."""
        if type(method) is not str:
            method = name_of_method(method)
        payload, driver = payload_of(self.child_id, method, args, kwargs), self._driver
        context = driver.context
        if context.tracing is None:
            await driver.drive(calls.send(context, self.child_id, method, payload, timeout=0, reply=False))
            return
        with context.tracing.sending("cast", self.child_id, method) as traced:
            await driver.drive(calls.send(context, self.child_id, method, traced(payload), timeout=0, reply=False))

    def __repr__(self) -> str:
        return f"<AsyncChildRef {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"
