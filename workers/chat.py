"""Chat rooms, one child each: ``hubq worker workers.chat:hub``.

Each post is an event of the room's feed, so a reader misses none and sees none twice, whatever happens to the workers meanwhile
(``examples/chat_fastapi.py`` brings them to browsers). Posts are numbered, and the last ones can be asked for as well.
"""

from __future__ import annotations

import time
from typing import Any

from hubq import Child, Hub

hub = Hub("rooms")


@hub.child
class Room(Child):
    """One room; the last ``kept`` posts can be read.

    >>> room = Room(kept=2)
    >>> room.posts, room.count
    ([], 0)
    """

    def __init__(self, topic: str = "", kept: int = 200) -> None:
        self.topic = topic
        self.kept = kept
        self.count = 0
        self.posts: list[dict[str, Any]] = []
        self.members: dict[str, float] = {}  # name -> since when, seconds since the epoch

    async def join(self, who: str) -> list[str]:
        """Somebody comes in; who is there."""
        if who not in self.members:
            self.members[who] = time.time()
            self._post("", f"{who} has come")
        return sorted(self.members)

    async def leave(self, who: str) -> None:
        """Somebody goes."""
        if self.members.pop(who, None) is not None:
            self._post("", f"{who} has gone")

    async def post(self, who: str, text: str) -> int:
        """Say something; its number."""
        return self._post(who, text)

    async def read(self, after: int = 0) -> list[dict[str, Any]]:
        """The posts with a number above ``after``, oldest first."""
        return [post for post in self.posts if post["number"] > after]

    async def people(self) -> list[str]:
        """Who is there."""
        return sorted(self.members)

    def _post(self, who: str, text: str) -> int:
        self.count += 1
        post = {"number": self.count, "at": time.time(), "who": who, "text": text}
        self.posts = [*self.posts, post][-self.kept :]
        self.publish("posts", post)
        return self.count
