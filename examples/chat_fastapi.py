"""A chat for browsers, each room a child, behind FastAPI.

    pip install 'hubq[examples,web]'
    hubq worker workers.chat:hub --name a          # one or more, in terminals of their own
    uvicorn examples.chat_fastapi:app              # http://localhost:8000/?room=redis&who=ann, and /hubq/

Replace the workers as often as you like, or kill them: the rooms go on with their posts. No page misses a post or shows it twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.routing import Mount, Route

from hubq import AlreadyStarted, UnknownChild
from hubq.web import dashboard, open_to_all, sse, websocket
from workers.chat import Room, hub


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Close the hub with the app."""
    yield
    await hub.aio.close()


class Post(BaseModel):
    """What somebody says."""

    who: str
    text: str


events = sse(lambda scope: hub.aio.ref(scope["path_params"]["name"]), topics="posts")
view = dashboard(hub, auth=open_to_all())  # on your own machine; elsewhere, auth= says who it is (docs/guide-web.md)
app = FastAPI(lifespan=lifespan, routes=[Route("/rooms/{name}/events", events), Mount("/hubq", view)])


@app.get("/")
async def page() -> FileResponse:
    """The page of a room."""
    return FileResponse(Path(__file__).with_name("chat.html"))


@app.get("/rooms/{name}/posts")
async def posts(name: str, after: int = 0) -> list[dict[str, Any]]:
    """The last posts of a room; none if there is no such room."""
    with suppress(UnknownChild):
        return list(await hub.aio.ref(name).call("read", after))
    return []


@app.post("/rooms/{name}/posts")
async def post(name: str, said: Post) -> int:
    """Say something in a room; the number of the post."""
    with suppress(AlreadyStarted):
        await hub.aio.start_child(name, Room)
    return int(await hub.aio.ref(name).call("post", said.who, said.text, timeout=30))


@app.websocket("/rooms/{name}")
async def room(socket: WebSocket, name: str, who: str) -> None:
    """Be in a room: what is sent is posted, and every post after one's coming is received."""
    with suppress(AlreadyStarted):
        await hub.aio.start_child(name, Room)
    child = hub.aio.ref(name)
    await child.call("join", who, timeout=10)
    try:
        talk = websocket(child, topics="posts", on_text=lambda _, text: child.call("post", who, text, timeout=10))
        await talk(socket.scope, socket.receive, socket.send)
    finally:
        await child.cast("leave", who)
