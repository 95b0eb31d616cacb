"""What goes on: the events of the hub and the feed of a child, as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict
from typing import TypeVar

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from hubq.client.faces.feed import AsyncFeed
from hubq.core.entry_ids import entry_ms
from hubq.core.feed import Event as Published
from hubq.core.feed import Gap
from hubq.errors import HubqError
from hubq.store import viewer
from hubq.web.view.news import Reader

#: A comment goes out after so many seconds without anything else.
HEARTBEAT = 15.0
#: How soon a browser comes again that has lost its connection, ms.
RETRY = 1_000
#: The longest text of what a child has published, characters.
MOST_TEXT = 5_000

T = TypeVar("T")

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Stream(StreamingResponse):
    """A stream of server-sent events. What it was made of is closed when its reader has gone."""

    media_type = "text/event-stream"

    def __init__(self, body: AsyncGenerator[bytes, None]) -> None:
        super().__init__(body, headers=HEADERS)
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._body.aclose()


async def hub_events(reader: Reader) -> AsyncGenerator[bytes, None]:
    """The events of the hub. ``redis`` says that Redis is away, or back."""
    away = ""
    try:
        yield b"retry: %d\nid: %b\nevent: hello\ndata: {}\n\n" % (RETRY, reader.last.encode())
        async with contextlib.aclosing(_or_heartbeat(reader.take)) as news_or_none:
            async for taken in news_or_none:
                if taken is None:
                    yield b":\n\n"
                    continue
                events, now_away = taken
                if now_away != away:
                    away = now_away
                    yield b"event: redis\ndata: %b\n\n" % msgspec.json.encode({"away": away})
                for event in events:
                    yield b"id: %b\ndata: %b\n\n" % (event.id.encode(), msgspec.json.encode(asdict(event)))
    finally:
        reader.close()


async def child_feed(feed: AsyncFeed) -> AsyncGenerator[bytes, None]:
    """What a child publishes, shown without running any of it."""
    try:
        async with feed, contextlib.aclosing(_or_heartbeat(feed.take)) as items_or_none:
            yield b"retry: %d\n\n" % RETRY
            async for items in items_or_none:
                if items is None:
                    yield b":\n\n"
                    continue
                if not items:
                    yield b"event: end\ndata: {}\n\n"
                    return
                for item in items:
                    yield _written(item)
    except HubqError as error:
        yield b"event: trouble\ndata: %b\n\n" % msgspec.json.encode({"detail": str(error)})


def _written(item: Published | Gap) -> bytes:
    if isinstance(item, Gap):
        return b"event: gap\ndata: %b\n\n" % msgspec.json.encode({"missed": item.missed})
    try:
        text = viewer.words(viewer.look(item.payload), MOST_TEXT)
    except (ValueError, RecursionError) as error:
        text = f"cannot be shown ({error})"
    said = {"id": item.id, "topic": item.topic, "at": entry_ms(item.id) / 1000, "data": text}
    return b"id: %b\ndata: %b\n\n" % (item.id.encode(), msgspec.json.encode(said))


async def _or_heartbeat(take: Callable[[], Awaitable[T]]) -> AsyncGenerator[T | None, None]:
    """What ``take`` gives, again and again; None after each time in which it gave nothing."""
    task: asyncio.Future[T] | None = None
    try:
        while True:
            if task is None:
                task = asyncio.ensure_future(take())
            done, _ = await asyncio.wait({task}, timeout=HEARTBEAT)
            if not done:
                yield None
                continue
            taken, task = task.result(), None
            yield taken
    finally:
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, HubqError):
                await task
