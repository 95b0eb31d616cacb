"""hubq in FastAPI and Starlette."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

import httpx
from fastapi import Depends, FastAPI

from hubq import Child, ConfigError, Hub, MailboxFull, UnknownChild
from hubq.contrib.fastapi import child_of, error_handlers, lifespan
from hubq.testing import Cluster, FakeServer


class Room(Child):
    def __init__(self) -> None:
        self.posts: list[str] = []

    async def post(self, text: str) -> int:
        self.posts.append(text)
        return len(self.posts)

    async def fail(self) -> None:
        raise ValueError("no")


@pytest.fixture
def hub() -> Iterator[Hub]:
    made = Hub("rooms", redis=FakeServer(), lease=2.0, lease_margin=0.4, heartbeat=0.1)
    made.child(Room)
    yield made
    made.close()


def app_of(hub: Hub, **options: Any) -> FastAPI:
    app = FastAPI(exception_handlers=error_handlers(), **options)
    of_path = Depends(child_of(hub, Room, "name", "room-"))

    @app.post("/rooms/{name}")
    async def post(text: str, room: Any = of_path) -> int:
        number: int = await room.call(Room.post, text)
        return number

    @app.post("/rooms/{name}/fail")
    async def fail(name: str) -> None:
        await hub.aio.ref(f"room-{name}").call("fail")

    @app.get("/full")
    async def full() -> None:
        raise MailboxFull("room-1 is full")

    return app


def asking(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


def test_a_child_of_the_path_and_the_errors(hub: Hub, hubq_run: Any) -> None:
    async def scenario() -> None:
        app = app_of(hub)
        async with Cluster(hub) as cluster, asking(app) as web:
            await cluster.start("a")
            await hub.aio.start_child("room-red", Room)
            answer = await web.post("/rooms/red", params={"text": "hi"})
            assert (answer.status_code, answer.json()) == (200, 1)
            answer = await web.post("/rooms/none", params={"text": "hi"})
            assert answer.status_code == 404
            assert answer.json() == {"error": "UnknownChild", "detail": "there is no such child"}
            assert (await web.post("/rooms/x%00y", params={"text": "hi"})).status_code == 404, (
                "no child has such a name"
            )
            answer = await web.get("/full")
            assert answer.status_code == 429 and answer.headers["Retry-After"] == "5"
            assert (await web.post("/rooms/red/fail")).status_code == 500, "an exception of a handler stays one"
            page = (await web.get("/openapi.json")).json()
            (parameter,) = [
                each for each in page["paths"]["/rooms/{name}"]["post"]["parameters"] if each["name"] == "name"
            ]
            assert (parameter["in"], parameter["required"]) == ("path", True)

    hubq_run(scenario())


def test_the_hub_is_closed_after_the_apps_own_lifespan(hub: Hub) -> None:
    order: list[str] = []

    @asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        yield {"made": "here"}
        order.append("own")

    async def closed() -> None:
        order.append("hub")

    async def scenario() -> None:
        hub.aio.resource("a test", Closes(closed).made)
        app = app_of(hub, lifespan=lifespan(hub, own))
        async with app.router.lifespan_context(app) as state:
            assert state == {"made": "here"}
        assert order == ["own", "hub"]
        async with lifespan(hub)(app) as state:
            assert state is None

    asyncio.run(scenario())


class Closes:
    """Something of the hub that is closed with it."""

    def __init__(self, close: Any) -> None:
        self.close = close

    def made(self) -> Closes:
        return self


def test_a_parameter_is_a_name(hub: Hub) -> None:
    with pytest.raises(ConfigError, match="name of a parameter"):
        child_of(hub, Room, "{name}")


def test_every_error_has_a_handler() -> None:
    assert UnknownChild in error_handlers()
