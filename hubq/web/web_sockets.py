"""A feed over a websocket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from hubq.client.faces.feed import AsyncFeed
from hubq.errors import HubqError
from hubq.web.asgi import Endpoint, Receive, Ref, Refused, Scope, Send, Topics, as_json, checked_ref, feed_of, log

#: Takes a text of the other side.
OnText = Callable[[Scope, str], Awaitable[None]]
#: Codes with which a connection is closed (RFC 6455): done; the server cannot go on; the request is refused.
DONE, FAILED, REFUSED = 1000, 1011, 1008


def websocket(ref: Ref, *, topics: Topics = None, after: str | None = None, on_text: OnText | None = None) -> Endpoint:
    """An ASGI app that sends the feed of a child over a websocket: one text of JSON for each item.

    An event is ``{"id", "topic", "at", "data"}``, a gap ``{"gap": {"after", "before", "missed"}}``. When the child ends, ``{"end": id}``
    comes, and the connection is closed. It begins behind ``?after=``, else as ``after`` says (None: now). ``on_text(scope, text)`` is
    awaited for each text of the other side. ``ref`` is as in :func:`hubq.web.sse`. The server keeps the connection alive (uvicorn
    does).
    """
    checked_ref(ref)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            raise ValueError(f"this is for websockets, and not for {scope['type']}: for HTTP there is hubq.web.sse")
        await receive()  # websocket.connect
        try:
            feed = feed_of(ref, scope, after, topics)
        except Refused as refused:
            await send({"type": "websocket.close", "code": REFUSED, "reason": str(refused)[:100]})
            return
        sending = asyncio.create_task(_send_items(feed, send))
        hearing = asyncio.create_task(_hear(scope, receive, on_text))
        try:
            await asyncio.wait({sending, hearing}, return_when=asyncio.FIRST_COMPLETED)
            if hearing.done():
                hearing.result()  # what on_text has raised is the server's to tell
            elif sending.exception() is None:
                await send({"type": "websocket.close", "code": sending.result()})
        finally:
            for task in (sending, hearing):
                task.cancel()
            await asyncio.gather(sending, hearing, return_exceptions=True)

    return Endpoint(app)


async def _send_items(feed: AsyncFeed, send: Send) -> int:
    try:
        async with feed:
            await send({"type": "websocket.accept"})
            while items := await feed.take():
                for item in items:
                    await send({"type": "websocket.send", "text": as_json(item).decode()})
            await send({"type": "websocket.send", "text": msgspec.json.encode({"end": feed.last_id}).decode()})
            return DONE
    except HubqError as error:
        log.warning("the feed of %s ends for a reader: %s", feed.child_id, error)
        return FAILED


async def _hear(scope: Scope, receive: Receive, on_text: OnText | None) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        text = message.get("text")
        if on_text is not None and text is not None:
            await on_text(scope, text)
