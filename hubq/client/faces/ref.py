"""References to children: a name to call and cast by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hubq.client import operations
from hubq.core.hashing import checked_child_id
from hubq.store.codec import encode_arguments, encode_json

if TYPE_CHECKING:
    from hubq.client.aio import AsyncHub
    from hubq.client.hub import Hub


def payload_of(child_id: str, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Arguments as they travel."""
    return encode_arguments(args, kwargs, f"{child_id}.{method}")


def json_payload(args: list[Any]) -> bytes:
    """Arguments given as JSON values (by the CLI)."""
    return encode_json([args, {}])


class ChildRef:
    """A child by its name; made without asking Redis."""

    __slots__ = ("_hub", "child_id")

    def __init__(self, hub: Hub, child_id: str) -> None:
        self._hub = hub
        self.child_id = checked_child_id(child_id)

    def call(self, method: str, *args: Any, timeout: float = 5.0, **kwargs: Any) -> Any:
        """Call a method and wait for its result, at most ``timeout`` seconds.

        Raises :class:`~hubq.errors.CallFailed` if the method raised, :class:`~hubq.errors.CallTimeout`,
        :class:`~hubq.errors.UnknownChild`, :class:`~hubq.errors.UnknownMethod`, :class:`~hubq.errors.MailboxFull`,
        :class:`~hubq.errors.RedisUnavailable`.
        """
        payload = payload_of(self.child_id, method, args, kwargs)
        tracing = self._hub.tracing
        if tracing is None:
            return self._hub._drive(operations.call(self._hub._context, self.child_id, method, payload, timeout))
        with tracing.sending("call", self.child_id, method) as traced:
            operation = operations.call(self._hub._context, self.child_id, method, traced(payload), timeout)
            return self._hub._drive(operation)

    def cast(self, method: str, *args: Any, **kwargs: Any) -> None:
        """Send a message; returns when it is safe in the child's mailbox."""
        payload = payload_of(self.child_id, method, args, kwargs)
        tracing = self._hub.tracing
        if tracing is None:
            self._hub._drive(
                operations.send(self._hub._context, self.child_id, method, payload, timeout=0, reply=False)
            )
            return
        with tracing.sending("cast", self.child_id, method) as traced:
            self._hub._drive(
                operations.send(self._hub._context, self.child_id, method, traced(payload), timeout=0, reply=False)
            )

    def __repr__(self) -> str:
        return f"<ChildRef {self.child_id!r} of hub {self._hub.hub_id!r}>"


class AsyncChildRef:
    """The same as :class:`ChildRef`, awaiting."""

    __slots__ = ("_hub", "child_id")

    def __init__(self, hub: AsyncHub, child_id: str) -> None:
        self._hub = hub
        self.child_id = checked_child_id(child_id)

    async def call(self, method: str, *args: Any, timeout: float = 5.0, **kwargs: Any) -> Any:
        """See :meth:`ChildRef.call`."""
        payload = payload_of(self.child_id, method, args, kwargs)
        tracing = self._hub.tracing
        if tracing is None:
            return await self._hub._drive(operations.call(self._hub._context, self.child_id, method, payload, timeout))
        with tracing.sending("call", self.child_id, method) as traced:
            operation = operations.call(self._hub._context, self.child_id, method, traced(payload), timeout)
            return await self._hub._drive(operation)

    async def cast(self, method: str, *args: Any, **kwargs: Any) -> None:
        """See :meth:`ChildRef.cast`. Casts awaited together (``asyncio.gather``) share a round trip."""
        payload = payload_of(self.child_id, method, args, kwargs)
        tracing = self._hub.tracing
        if tracing is None:
            session = self._hub._session_here() or await self._hub._session()  # one coroutine less than _drive
            await session.drive(
                operations.send(self._hub._context, self.child_id, method, payload, timeout=0, reply=False)
            )
            return
        with tracing.sending("cast", self.child_id, method) as traced:
            await self._hub._drive(
                operations.send(self._hub._context, self.child_id, method, traced(payload), timeout=0, reply=False)
            )

    def __repr__(self) -> str:
        return f"<AsyncChildRef {self.child_id!r} of hub {self._hub.hub_id!r}>"
