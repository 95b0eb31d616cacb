"""A feed as server-sent events, which browsers read with ``new EventSource(url)``."""

from __future__ import annotations

import asyncio

from hubq.client.faces.feed import AsyncFeed
from hubq.core.feed import Event, Gap
from hubq.errors import HubqError
from hubq.web.asgi import Endpoint, Receive, Ref, Refused, Scope, Send, Topics, as_json, checked_ref, feed_of, log

#: Nothing may stand between the server and its reader for longer than it must.
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"),
]  # fmt: skip


def sse(ref: Ref, *, topics: Topics = None, after: str | None = None, heartbeat: float = 15.0) -> Endpoint:
    """An ASGI app that streams the feed of a child.

    ``ref``: ``hub.aio.ref("room-1")``, or a function that is given the scope of the request and returns one. A browser that has
    lost its connection comes again with ``Last-Event-ID``, and goes on behind it. Else the stream begins behind ``?after=``, else
    as ``after`` says (None: now). A comment goes out every ``heartbeat`` seconds in which nothing else does.

    An event is named as its topic. Its data is JSON: ``id``, ``topic``, ``at``, ``data``. A gap is an event ``hubq-gap``, the end of the
    child ``hubq-end``.
    """
    checked_ref(ref)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(
                f"this is for HTTP, and not for {scope['type']}: for websockets there is hubq.web.websocket"
            )
        try:
            feed = feed_of(ref, scope, after, topics)
        except Refused as refused:
            await _answer(send, 400, str(refused).encode())
            return
        if scope["method"] != "GET":
            await _answer(send, 405, b"only GET")
            return
        await _stream(feed, receive, send, heartbeat)

    return Endpoint(app)


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(feed: AsyncFeed, receive: Receive, send: Send, heartbeat: float) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    left = asyncio.create_task(_disconnected(receive))
    taking: asyncio.Task[list[Event | Gap]] | None = None
    try:
        async with feed:
            body = b":\n\n"  # the headers go out with it: the browser knows that it is connected
            while True:
                await send({"type": "http.response.body", "body": body, "more_body": True})
                if taking is None:
                    taking = asyncio.create_task(feed.take())
                await asyncio.wait({taking, left}, timeout=heartbeat, return_when=asyncio.FIRST_COMPLETED)
                if left.done():
                    return
                if not taking.done():
                    body = b":\n\n"
                    continue
                items, taking = taking.result(), None
                if not items:
                    body = f"id: {feed.last_id}\nevent: hubq-end\ndata: {{}}\n\n".encode()
                    await send({"type": "http.response.body", "body": body})
                    return
                body = b"".join(map(_written, items))
    except HubqError as error:
        log.warning("the feed of %s ends for a reader: %s", feed.child_id, error)
        await send({"type": "http.response.body", "body": b""})
    except OSError:
        pass  # the reader has gone
    finally:
        for task in (left, taking):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in (left, taking) if task is not None), return_exceptions=True)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _written(item: Event | Gap) -> bytes:
    """An item as it is streamed. (A gap has no id: who comes again asks for what is behind the last event.)"""
    if isinstance(item, Gap):
        return b"event: hubq-gap\ndata: %b\n\n" % as_json(item)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (item.id.encode(), item.topic.encode(), as_json(item))
