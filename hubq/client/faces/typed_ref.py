"""References that know the class of their child: ``hub.ref(Room, "room-1")``. Type checkers know arguments and results, and the
name of a method is looked at before anything is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, overload

from hubq.client.asking.driver import AsyncChildDriver, ChildDriver
from hubq.client.faces.asks import begin, begin_async, call, call_async, cast, cast_async
from hubq.client.faces.call_future import AsyncCallFuture, CallFuture
from hubq.client.faces.feed import AsyncFeed, Feed
from hubq.client.faces.later import AsyncLaterCast, LaterCast, cast_at, cast_at_async, cast_in, cast_in_async
from hubq.client.operations.call_options import PLAIN, CallOptions
from hubq.core.child import Child
from hubq.core.hashing import checked_child_id
from hubq.core.methods import Method, method_of_class
from hubq.store.spec_record import SpecRecord

C = TypeVar("C", bound=Child, covariant=True)
P = ParamSpec("P")
R = TypeVar("R")


class TypedRef(Generic[C]):
    """A child by its class and its name; made without asking Redis. All arguments of :meth:`call` are the method's: what the call
    itself may be told goes by :meth:`options`.
    """

    __slots__ = ("_driver", "_kind", "_options", "child_id")

    def __init__(self, driver: ChildDriver, kind: type[C], child_id: str, options: CallOptions = PLAIN) -> None:
        self._driver = driver
        self._kind = kind
        self._options = options
        self.child_id = checked_child_id(child_id)

    @property
    def activation(self) -> SpecRecord | None:
        """By what a message starts the child if it is not there; None: it does not."""
        return self._options.activation

    def options(
        self, *, timeout: float | None = None, key: str | None = None, keep: float | None = None,
        cancel_on_timeout: bool | None = None, if_paused: Literal["wait", "refuse"] | None = None,
    ) -> TypedRef[C]:  # fmt: skip
        """See :meth:`hubq.ChildRef.options`."""
        return TypedRef(
            self._driver,
            self._kind,
            self.child_id,
            self._options.changed(timeout, key, keep, cancel_on_timeout, if_paused),
        )

    @overload
    def call(
        self, method: Callable[Concatenate[C, P], Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    @overload
    def call(self, method: Callable[Concatenate[C, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any: ...

    def call(self, method: Method, /, *args: Any, **kwargs: Any) -> Any:
        """Call a method (``Room.post``, or ``"post"``) and wait for its result.

        Raises as :meth:`hubq.ChildRef.call` does, and :class:`~hubq.errors.UnknownMethod` before anything is sent.
        """
        found = method_of_class(self._kind, method)
        return call(self._driver, self.child_id, found, args, kwargs, self._options)

    @overload
    def begin(
        self, method: Callable[Concatenate[C, P], Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> CallFuture[R]: ...

    @overload
    def begin(self, method: Callable[Concatenate[C, P], R], /, *args: P.args, **kwargs: P.kwargs) -> CallFuture[R]: ...

    @overload
    def begin(self, method: str, /, *args: Any, **kwargs: Any) -> CallFuture[Any]: ...

    def begin(self, method: Method, /, *args: Any, **kwargs: Any) -> CallFuture[Any]:
        """See :meth:`hubq.ChildRef.begin`."""
        found = method_of_class(self._kind, method)
        return begin(self._driver, self.child_id, found, args, kwargs, self._options)

    @overload
    def cast(self, method: Callable[Concatenate[C, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    @overload
    def cast(self, method: str, /, *args: Any, **kwargs: Any) -> None: ...

    def cast(self, method: Method, /, *args: Any, **kwargs: Any) -> None:
        """Send a message; returns when it is safe in the child's mailbox."""
        cast(self._driver, self.child_id, method_of_class(self._kind, method), args, kwargs, self._options)

    @overload
    def cast_in(
        self, seconds: float, method: Callable[Concatenate[C, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> LaterCast: ...

    @overload
    def cast_in(self, seconds: float, method: str, /, *args: Any, **kwargs: Any) -> LaterCast: ...

    def cast_in(self, seconds: float, method: Method, /, *args: Any, **kwargs: Any) -> LaterCast:
        """See :meth:`hubq.ChildRef.cast_in`."""
        return cast_in(self._driver, self.child_id, seconds, method_of_class(self._kind, method)[0], args, kwargs)

    @overload
    def cast_at(
        self, when: float | datetime, method: Callable[Concatenate[C, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> LaterCast: ...

    @overload
    def cast_at(self, when: float | datetime, method: str, /, *args: Any, **kwargs: Any) -> LaterCast: ...

    def cast_at(self, when: float | datetime, method: Method, /, *args: Any, **kwargs: Any) -> LaterCast:
        """See :meth:`hubq.ChildRef.cast_at`."""
        return cast_at(self._driver, self.child_id, when, method_of_class(self._kind, method)[0], args, kwargs)

    def feed(self, after: str | None = None, topics: str | Iterable[str] | None = None, *, follow: bool = True) -> Feed:
        """See :meth:`hubq.ChildRef.feed`."""
        return Feed(self._driver.loop_thread, self.child_id, after, topics, follow)

    def __repr__(self) -> str:
        return f"<TypedRef {self._kind.__name__} {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"


class AsyncTypedRef(Generic[C]):
    """The same as :class:`TypedRef`, awaiting."""

    __slots__ = ("_driver", "_kind", "_options", "child_id")

    def __init__(self, driver: AsyncChildDriver, kind: type[C], child_id: str, options: CallOptions = PLAIN) -> None:
        self._driver = driver
        self._kind = kind
        self._options = options
        self.child_id = checked_child_id(child_id)

    @property
    def activation(self) -> SpecRecord | None:
        """By what a message starts the child if it is not there; None: it does not."""
        return self._options.activation

    def options(
        self, *, timeout: float | None = None, key: str | None = None, keep: float | None = None,
        cancel_on_timeout: bool | None = None, if_paused: Literal["wait", "refuse"] | None = None,
    ) -> AsyncTypedRef[C]:  # fmt: skip
        """See :meth:`hubq.ChildRef.options`."""
        return AsyncTypedRef(
            self._driver,
            self._kind,
            self.child_id,
            self._options.changed(timeout, key, keep, cancel_on_timeout, if_paused),
        )

    @overload
    async def call(
        self, method: Callable[Concatenate[C, P], Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    @overload
    async def call(self, method: Callable[Concatenate[C, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    async def call(self, method: str, /, *args: Any, **kwargs: Any) -> Any: ...

    async def call(self, method: Method, /, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`TypedRef.call`."""
        found = method_of_class(self._kind, method)
        return await call_async(self._driver, self.child_id, found, args, kwargs, self._options)

    @overload
    def begin(
        self, method: Callable[Concatenate[C, P], Coroutine[Any, Any, R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncCallFuture[R]: ...

    @overload
    def begin(
        self, method: Callable[Concatenate[C, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncCallFuture[R]: ...

    @overload
    def begin(self, method: str, /, *args: Any, **kwargs: Any) -> AsyncCallFuture[Any]: ...

    def begin(self, method: Method, /, *args: Any, **kwargs: Any) -> AsyncCallFuture[Any]:
        """See :meth:`hubq.AsyncChildRef.begin`."""
        found = method_of_class(self._kind, method)
        return begin_async(self._driver, self.child_id, found, args, kwargs, self._options)

    @overload
    async def cast(self, method: Callable[Concatenate[C, P], Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...

    @overload
    async def cast(self, method: str, /, *args: Any, **kwargs: Any) -> None: ...

    async def cast(self, method: Method, /, *args: Any, **kwargs: Any) -> None:
        """See :meth:`TypedRef.cast`. Casts awaited together (``asyncio.gather``) share a round trip."""
        await cast_async(self._driver, self.child_id, method_of_class(self._kind, method), args, kwargs, self._options)

    @overload
    async def cast_in(
        self, seconds: float, method: Callable[Concatenate[C, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncLaterCast: ...

    @overload
    async def cast_in(self, seconds: float, method: str, /, *args: Any, **kwargs: Any) -> AsyncLaterCast: ...

    async def cast_in(self, seconds: float, method: Method, /, *args: Any, **kwargs: Any) -> AsyncLaterCast:
        """See :meth:`hubq.ChildRef.cast_in`."""
        return await cast_in_async(
            self._driver, self.child_id, seconds, method_of_class(self._kind, method)[0], args, kwargs
        )

    @overload
    async def cast_at(
        self, when: float | datetime, method: Callable[Concatenate[C, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> AsyncLaterCast: ...

    @overload
    async def cast_at(self, when: float | datetime, method: str, /, *args: Any, **kwargs: Any) -> AsyncLaterCast: ...

    async def cast_at(self, when: float | datetime, method: Method, /, *args: Any, **kwargs: Any) -> AsyncLaterCast:
        """See :meth:`hubq.ChildRef.cast_at`."""
        return await cast_at_async(
            self._driver, self.child_id, when, method_of_class(self._kind, method)[0], args, kwargs
        )

    def feed(
        self, after: str | None = None, topics: str | Iterable[str] | None = None, *, follow: bool = True
    ) -> AsyncFeed:
        """See :meth:`hubq.ChildRef.feed`: ``async for event in ref.feed():``."""
        return AsyncFeed(self._driver, self.child_id, after, topics, follow)

    def __repr__(self) -> str:
        return f"<AsyncTypedRef {self._kind.__name__} {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"
