"""The app of the session in docs/keys.md."""

import asyncio
from typing import Any

from hubq import Child, HotSwap, Hub

hub = Hub("chat", migration=HotSwap(retention=1.0))


@hub.child
class Room(Child):
    """A room whose ``slow`` keeps it busy."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.posts: list[tuple[str, str]] = []

    async def post(self, who: str, text: str) -> int:
        self.posts.append((who, text))
        return len(self.posts)

    async def slow(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def begin(redis_url: str) -> Any:
    """What has happened when the session begins."""
    client = Hub("chat", redis=redis_url)
    client.start_child("room-1", Room, "redis", metadata={"tier": "vip"}).result(20)
    client.ref("room-1").call("post", "ann", "hi")
    client.ref("room-1").cast("slow", 60)
    for n in range(3):
        client.ref("room-1").cast("post", "bob", f"n{n}")
    return client
