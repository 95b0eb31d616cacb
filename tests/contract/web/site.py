"""The web view over a hub with workers, and requests to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from hubq import Child, Hub
from hubq.testing import Cluster
from hubq.web import dashboard, open_to_all

BASE = "http://hub.example/below/hubq"


class Room(Child):
    def __init__(self) -> None:
        self.posts: list[str] = []
        self.go = True

    async def post(self, text: str, *, loud: bool = False) -> int:
        self.posts.append(text.upper() if loud else text)
        self.publish("posts", text)
        return len(self.posts)

    async def fail(self) -> None:
        if self.go:
            raise ValueError("broken <b>")

    async def mend(self) -> None:
        self.go = False

    async def odd(self) -> Any:
        return {"at": 1j, "name": "\ud800"}

    async def hang(self) -> None:
        await asyncio.sleep(3600)

    async def tell(self, child: str, *texts: str) -> None:
        for text in texts:
            self.ref(child).cast("post", text)


class Site:
    """The view, mounted below a path, and requests to it."""

    def __init__(self, hub: Hub, cluster: Cluster, role: Any) -> None:
        self.hub, self.cluster = hub, cluster
        self.view = dashboard(hub, auth=open_to_all("ann", role), read_only=role == "viewer")
        app = Starlette(routes=[Mount("/below/hubq", self.view)])
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE)

    async def get(self, path: str, **query: Any) -> Any:
        answer = await self.client.get(f"/api{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def do(self, path: str, status: int = 200, **body: Any) -> Any:
        answer = await self.client.post(f"/api{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def page(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        self.client.cookies.clear()  # the API is asked as by a program
        return answer.text

    async def acted(self) -> list[dict[str, str]]:
        """What the events say of the actions, the oldest first."""
        found = (await self.get("/events", type="operator_acted"))["events"]
        return [each["fields"] for each in reversed(found)]


def run(
    make_hub: Any, scenario: Callable[[Site], Awaitable[None]], *nodes: str, role: str = "operator", **settings: Any
) -> None:
    async def whole() -> None:
        hub: Hub = make_hub(**settings)
        hub.child(Room)
        async with Cluster(hub) as cluster:
            await cluster.start(*(nodes or ("a",)))
            await cluster.settled()
            await hub.aio.start_child("r/1", Room, metadata={"tag": "vip"})
            site = Site(hub, cluster, role)
            async with site.client:
                await scenario(site)

    asyncio.run(whole())
