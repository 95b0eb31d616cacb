"""What both kinds of connection have in common: whose feed it is, where it begins, and how items look as JSON."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import parse_qs

import msgspec

from hubq.client.faces.feed import AsyncFeed
from hubq.core.feed import Event, Gap, Place
from hubq.errors import ConfigError, HubqError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Topics = str | Iterable[str] | None

log = logging.getLogger("hubq.web")


class HasFeed(Protocol):
    """``hub.aio.ref(...)``."""

    @property
    def child_id(self) -> str: ...

    def feed(self, after: str | None = None, topics: Topics = None, *, follow: bool = True) -> AsyncFeed: ...


#: The child, or a function that finds it for a request: ``lambda scope: hub.aio.ref(scope["path_params"]["name"])``.
Ref = HasFeed | Callable[[Scope], HasFeed]


class Endpoint:
    """An ASGI app. Routers take a plain function for something else: Starlette would call it with a ``Request``."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class Refused(Exception):
    """A request that cannot be served; the text is for its sender."""


def feed_of(ref: Ref, scope: Scope, after: str | None, topics: Topics) -> AsyncFeed:
    """The feed that a request asks for. It begins behind ``Last-Event-ID``, else behind ``?after=``, else as ``after`` says.

    Raises :class:`Refused`.
    """
    headers: dict[bytes, bytes] = dict(scope.get("headers") or ())
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    asked = headers.get(b"last-event-id", b"").decode("latin-1") or query.get("after", [""])[0]
    try:
        child: HasFeed = ref(scope) if callable(ref) else ref
        if asked:
            Place.read(asked)
        return child.feed(asked or after, topics)
    except (HubqError, LookupError) as error:
        raise Refused(f"no such feed: {error}") from error


def checked_ref(ref: Ref) -> Ref:
    """Raise :class:`~hubq.errors.ConfigError` for what has no feed that can be awaited."""
    if not callable(ref) and not isinstance(getattr(ref, "feed", lambda: None)(), AsyncFeed):
        raise ConfigError(
            f"{ref!r} has no feed to be awaited: give hub.aio.ref(...), or a function of the scope that returns one"
        )
    return ref


@lru_cache(maxsize=4096)
def as_json(item: Event | Gap) -> bytes:
    """An item as JSON. (All who read the same feed get the same bytes.)

    >>> as_json(Gap("70-3", "90-9", 5))
    b'{"gap":{"after":"70-3","before":"90-9","missed":5}}'
    """
    if isinstance(item, Gap):
        return msgspec.json.encode({"gap": item._asdict()})
    head = {"id": item.id, "topic": item.topic, "at": item.at, **({"draft": item.draft} if item.draft else {})}
    try:
        return msgspec.json.encode({**head, "data": item.data})
    except Exception as error:
        log.warning("event %s (%s) is no JSON, its readers get no data of it: %s", item.id, item.topic, error)
        return msgspec.json.encode({**head, "data": None, "error": "its data is no JSON"})
