"""The view below a path of apps of other frameworks, as the guide and the examples mount it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx

from examples import chat_fastapi
from hubq import Hub
from hubq.testing import FakeServer
from hubq.web import dashboard, open_to_all


def pages(app: Callable[..., Any], *paths: str) -> list[httpx.Response]:
    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://hub.example", follow_redirects=True
        ) as client:
            return [await client.get(path) for path in paths]

    return asyncio.run(ask())


def test_in_the_fastapi_example_it_is_there_and_read_only() -> None:
    style, document = pages(chat_fastapi.app, "/hubq/static/view.css", "/hubq/api/openapi.json")
    assert style.status_code == document.status_code == 200
    assert document.json()["servers"] == [{"url": "/hubq"}] and "/api/child/call" not in document.json()["paths"]


def test_an_asgi_app_that_dispatches_by_path_needs_to_say_the_path_only() -> None:
    """As the guide has it for Django."""
    hub = Hub("chat", redis=FakeServer())
    view = dashboard(hub, auth=open_to_all())

    async def django_app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"django"})

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/hubq"):
            await view({**scope, "root_path": scope.get("root_path", "") + "/hubq"}, receive, send)
        else:
            await django_app(scope, receive, send)
        if scope["path"].startswith("/hubq"):
            await hub.aio.close()

    page, bare, other = pages(application, "/hubq/doctor", "/hubq", "/other")
    assert 'href="/hubq/static/view.css' in page.text and "no worker" not in page.text
    assert bare.status_code == 200 and bare.url.path == "/hubq/"
    assert other.text == "django"
    hub.close()
