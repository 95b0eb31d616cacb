"""What the rules of an inspector allow is enough to look; those of a worker are enough to act."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from hubq import Child, Hub
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.store.job_permissions import Jobs
from hubq.store.permissions import acl_rules
from hubq.testing import Cluster
from hubq.web import dashboard, open_to_all
from hubq.web.view.api import END_POINTS
from hubq.web.view.pages import PAGES


class Room(Child):
    async def post(self) -> int:
        return 1


@pytest.mark.parametrize(("role", "acts"), [("inspector", 503), ("worker", 200)])
def test_a_view_needs_no_more_rights_than_the_guide_says(role: str, acts: int) -> None:
    async def scenario(url: str) -> None:
        hub = Hub("rights", redis=url)
        hub.child(Room)
        admin = SyncRedis(RedisServer(url))
        version = admin.run(plain("INFO", "server", read=bytes)).split(b"redis_version:")[1]
        rules = acl_rules(hub.keys, role, read_only_keys=int(version.split(b".")[0]) >= 7, jobs=Jobs.OWN)
        admin.run(plain("ACL", "SETUSER", "viewer", *rules, "on", ">secret", read=bytes))
        admin.close()
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("r", Room)
            limited = Hub("rights", redis=url.replace("redis://", "redis://viewer:secret@"))
            app = dashboard(limited, auth=open_to_all("ann", "operator"), read_only=False)
            async with httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app), base_url="http://hub.example"
            ) as client:
                paths = [page.path for page in PAGES] + [f"/api{each.path}" for each in END_POINTS if not each.acts]
                for path in paths:
                    answer = await client.get(f"{path}?id=r" if "/child" in path and "children" not in path else path)
                    assert answer.status_code == 200, (path, answer.text)
                client.cookies.clear()
                body: dict[str, Any] = {"id": "r", "method": "post"}
                answer = await client.post("/api/child/call", json=body)
                assert answer.status_code == acts, answer.text
            await limited.aio.close()
            limited.close()

    with EmbeddedServer() as server:
        if server.kind == "fakeredis":
            pytest.skip("an imitation of Redis has no users")
        asyncio.run(scenario(server.url))
