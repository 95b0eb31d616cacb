"""SAQ, 10 jobs at once (its default)."""

from __future__ import annotations

from typing import Any

import work
from saq import Queue

queue = Queue.from_url(work.URL)


async def handle(ctx: Any) -> None:
    """See work."""
    work.handle()


async def reply(ctx: Any) -> None:
    """See work."""
    work.reply()


settings = {"queue": queue, "functions": [handle, reply], "concurrency": 10}


async def begin() -> None:
    """Connect."""
    await queue.connect()


async def put(job: str) -> None:
    """Enqueue; the job's record goes at once when it is done."""
    await queue.enqueue(job, ttl=-1)
