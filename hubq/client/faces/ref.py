"""References to children by their names alone. ``hubq.client.faces.typed_ref`` has those that know the class."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

from hubq.client.asking.driver import AsyncChildDriver, ChildDriver
from hubq.client.faces.asks import begin, begin_async, call, call_async, cast, cast_async, named
from hubq.client.faces.call_future import AsyncCallFuture, CallFuture
from hubq.client.faces.feed import AsyncFeed, Feed
from hubq.client.faces.later import AsyncLaterCast, LaterCast, cast_at, cast_at_async, cast_in, cast_in_async
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

    def __init__(self, driver: ChildDriver, child_id: str, options: CallOptions = PLAIN) -> None:
        self._driver = driver
        self._options = options
        self.child_id = checked_child_id(child_id)

    @property
    def activation(self) -> None:
        """A name alone does not say what to build: its messages start no child."""
        return None

    def options(
        self, *, timeout: float | None = None, key: str | None = None, keep: float | None = None,
        cancel_on_timeout: bool | None = None, if_paused: Literal["wait", "refuse"] | None = None,
    ) -> ChildRef:  # fmt: skip
        """The same child, called with these options.

        ``timeout``: seconds to wait for the result. ``cancel_on_timeout``: a call that is not answered in time is cancelled.
        ``key``: the child handles one message with this key, and answers others with the outcome of that one, for ``keep``
        seconds (a day). docs/guide-calls.md has the rules. ``if_paused="refuse"``: a call or cast to a child that is paused raises
        :class:`~hubq.errors.ChildPaused` and is not sent, instead of waiting there (docs/guide-pause.md).

        Raises :class:`~hubq.errors.ConfigError` for a value that an option cannot have.
        """
        return ChildRef(
            self._driver, self.child_id, self._options.changed(timeout, key, keep, cancel_on_timeout, if_paused)
        )

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
        cast(self._driver, self.child_id, named(method), args, kwargs, self._options)

    def cast_in(self, seconds: float, method: Method, /, *args: Any, **kwargs: Any) -> LaterCast:
        """Send a message in so many seconds, or take it back with ``.cancel()`` of what is returned. It is kept in Redis with the
        child: it is sent whatever happens to this process, and wakes nobody before.

        Raises :class:`~hubq.errors.UnknownChild` and :class:`~hubq.errors.InvalidReminder`.
        """
        return cast_in(self._driver, self.child_id, seconds, name_of_method(method), args, kwargs)

    def cast_at(self, when: float | datetime, method: Method, /, *args: Any, **kwargs: Any) -> LaterCast:
        """The same at a point in time: seconds since the epoch, or a datetime with its time zone."""
        return cast_at(self._driver, self.child_id, when, name_of_method(method), args, kwargs)

    def feed(self, after: str | None = None, topics: str | Iterable[str] | None = None, *, follow: bool = True) -> Feed:
        """The events that the child publishes, each once, in order: ``for event in ref.feed():``. Items are :class:`~hubq.Event`, and
        :class:`~hubq.Gap` where events are no longer kept. The iteration ends when the child ends.

        ``after``: go on behind the event with this id; ``"0"``: all that is kept; None: what comes from now on. ``topics``: only these.
        ``follow=False``: what is kept (all of it, if ``after`` is None), and then the iteration ends. A child that is not there yet is
        waited for. docs/guide-feeds.md has more.

        Raises :class:`~hubq.errors.ConfigError` for an ``after`` that is no id, :class:`~hubq.errors.InvalidTopic`; while it is read,
        :class:`~hubq.errors.RedisRefused`. (While Redis cannot be reached, it waits.)
        """
        return Feed(self._driver.loop_thread, self.child_id, after, topics, follow)

    def __repr__(self) -> str:
        return f"<ChildRef {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"


class AsyncChildRef:
    """The same as :class:`ChildRef`, awaiting."""

    __slots__ = ("_driver", "_options", "child_id")

    def __init__(self, driver: AsyncChildDriver, child_id: str, options: CallOptions = PLAIN) -> None:
        self._driver = driver
        self._options = options
        self.child_id = checked_child_id(child_id)

    @property
    def activation(self) -> None:
        """A name alone does not say what to build: its messages start no child."""
        return None

    def options(
        self, *, timeout: float | None = None, key: str | None = None, keep: float | None = None,
        cancel_on_timeout: bool | None = None, if_paused: Literal["wait", "refuse"] | None = None,
    ) -> AsyncChildRef:  # fmt: skip
        """See :meth:`ChildRef.options`."""
        return AsyncChildRef(
            self._driver, self.child_id, self._options.changed(timeout, key, keep, cancel_on_timeout, if_paused)
        )

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
        await cast_async(self._driver, self.child_id, named(method), args, kwargs, self._options)

    async def cast_in(self, seconds: float, method: Method, /, *args: Any, **kwargs: Any) -> AsyncLaterCast:
        """See :meth:`hubq.ChildRef.cast_in`."""
        return await cast_in_async(self._driver, self.child_id, seconds, name_of_method(method), args, kwargs)

    async def cast_at(self, when: float | datetime, method: Method, /, *args: Any, **kwargs: Any) -> AsyncLaterCast:
        """See :meth:`hubq.ChildRef.cast_at`."""
        return await cast_at_async(self._driver, self.child_id, when, name_of_method(method), args, kwargs)

    def feed(
        self, after: str | None = None, topics: str | Iterable[str] | None = None, *, follow: bool = True
    ) -> AsyncFeed:
        """See :meth:`hubq.ChildRef.feed`: ``async for event in ref.feed():``."""
        return AsyncFeed(self._driver, self.child_id, after, topics, follow)

    def __repr__(self) -> str:
        return f"<AsyncChildRef {self.child_id!r} of hub {self._driver.context.keys.hub_id!r}>"
