"""A chat over websockets, each room a child, behind FastAPI.

    pip install 'hubq[examples]'
    hubq worker workers.chat:hub --name a          # one or more, in terminals of their own
    uvicorn examples.chat_fastapi:app
    # ws://localhost:8000/rooms/redis?who=ann : send text, receive posts as JSON

Replace the workers as often as you like: the rooms move with their posts, and nobody's connection is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from hubq import AlreadyStarted, CallTimeout, UnknownChild
from workers.chat import Room, hub

#: Seconds between two looks at a room, for all its connections of this process together.
LOOK = 0.1


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the hub with the app."""
    yield
    await hub.aio.close()


app = FastAPI(lifespan=lifespan)
connections: dict[str, set[WebSocket]] = {}
broadcasts: dict[str, asyncio.Task[None]] = {}


@app.get("/rooms/{name}/posts")
async def posts(name: str, after: int = 0) -> list[dict[str, Any]]:
    """The posts of a room; none if there is no such room."""
    try:
        found: list[dict[str, Any]] = await hub.aio.ref(name).call("read", after, timeout=10)
    except UnknownChild:
        return []
    return found


@app.websocket("/rooms/{name}")
async def room(socket: WebSocket, name: str, who: str) -> None:
    """Be in a room: what is sent is posted, and every post after one's coming is received."""
    await socket.accept()
    with suppress(AlreadyStarted):
        await hub.aio.start_child(name, Room)
    await hub.aio.ref(name).call("join", who, timeout=10)
    last = max((post["number"] for post in await posts(name)), default=0)
    connections.setdefault(name, set()).add(socket)
    if name not in broadcasts or broadcasts[name].done():
        broadcasts[name] = asyncio.create_task(broadcast(name, last))
    try:
        with suppress(WebSocketDisconnect):
            while True:
                await hub.aio.ref(name).call("post", who, await socket.receive_text(), timeout=10)
    finally:  # a room that does not answer ends the connection, too
        connections[name].discard(socket)
        await hub.aio.ref(name).cast("leave", who)


async def broadcast(name: str, last: int) -> None:
    """Bring the new posts of a room to its connections, as long as there are any."""
    while connections[name]:
        with suppress(CallTimeout):
            for post in await posts(name, last):
                last = post["number"]
                for socket in list(connections[name]):
                    with suppress(RuntimeError, WebSocketDisconnect):  # it has just gone
                        await socket.send_json(post)
        await asyncio.sleep(LOOK)
