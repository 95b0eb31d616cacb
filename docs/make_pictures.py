"""The pictures of docs/guide-web.md and of the README: a hub with three workers is run, and its pages are photographed.

    python docs/make_pictures.py

It needs `pip install 'hubq[dev]'`, a Redis, and Chromium. A picture is of this moment: names and figures differ from run to run.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn
from playwright.async_api import async_playwright

from hubq import Child, ChildSpec, Hub
from hubq.store.embedded import EmbeddedServer, free_port
from hubq.testing import Cluster, eventually
from hubq.web import dashboard, open_to_all

PICTURES = Path(__file__).parent / "pictures"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROOMS = ("redis", "python", "cooking", "chess", "trains", "films", "birds", "maps", "radio", "tea", "clouds", "bread")


class Room(Child):
    """A room of a chat."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, str]] = []
        self.members: set[str] = set()

    async def post(self, who: str, text: str) -> int:
        """Say something."""
        self.members.add(who)
        self.posts = [*self.posts[-8:], (who, text)]
        self.publish("posts", {"who": who, "text": text})
        return len(self.posts)

    async def rename(self, name: str) -> None:
        """Fails, so that there are dead letters."""
        raise ValueError(f"there is a room {name!r} already")

    async def summarize(self) -> None:
        """Hangs, for the list of what is long in hand."""
        await asyncio.Event().wait()


async def talk(hub: Hub, rooms: list[str]) -> None:
    """Messages as fast as a small chat has them."""
    while True:
        room, who = random.choice(rooms), random.choice(("ann", "bob", "cleo", "dan"))
        await hub.aio.ref(room).cast("post", who, random.choice(("hi", "who is there?", "good morning", "see you")))
        await asyncio.sleep(0.004)


async def photograph(page: Any, name: str) -> None:
    """Take the picture, once the page is live."""
    await page.locator("#live[data-state=live]").wait_for()
    await page.wait_for_timeout(1_500)
    await page.screenshot(path=str(PICTURES / f"{name}.png"))
    print(PICTURES / f"{name}.png")


async def main() -> None:
    """Run the hub and take all pictures."""
    rooms = [f"room-{name}" for name in ROOMS] + [f"room-{n}" for n in range(200)]
    port = free_port()
    with EmbeddedServer() as redis:
        hub = Hub("chat", redis=redis.url)
        hub.child(Room)
        async with Cluster(hub) as cluster, async_playwright() as driver:
            await cluster.start("web-1", "web-2")
            await cluster.settled()
            await hub.aio.start_children([ChildSpec(room, Room, metadata={"tag": "public"}) for room in rooms])
            app: Any = dashboard(hub, auth=open_to_all("ann", "operator"), read_only=False)
            server = uvicorn.Server(
                uvicorn.Config(
                    app, port=port, log_level="error", lifespan="off", ws="none", timeout_graceful_shutdown=1
                )
            )
            tasks = [asyncio.create_task(server.serve()), asyncio.create_task(talk(hub, rooms[:60]))]
            await eventually(lambda: server.started, what="the web server")
            for room in ("room-chess", "room-tea", "room-maps"):
                await hub.aio.ref(room).cast("rename", "redis")
            await hub.aio.ref("room-trains").cast("summarize")
            browser = await driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = await (await browser.new_context(viewport={"width": 1200, "height": 1040})).new_page()
            await page.goto(f"http://127.0.0.1:{port}/")
            await page.wait_for_timeout(4_000)
            await cluster.start("web-3")  # shards are on their way while the picture is taken
            await page.locator(".dot.moved").first.wait_for(state="attached")
            await page.wait_for_timeout(350)
            await page.screenshot(path=str(PICTURES / "hub.png"))
            await cluster.settled()
            await page.goto(f"http://127.0.0.1:{port}/child?id=room-redis")
            await page.wait_for_timeout(2_000)
            await photograph(page, "child")
            phone = await browser.new_context(viewport={"width": 390, "height": 780}, color_scheme="dark")
            small = await phone.new_page()
            await small.goto(f"http://127.0.0.1:{port}/")
            await photograph(small, "phone")
            await browser.close()
            server.should_exit = True
            tasks[1].cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    asyncio.run(main())
