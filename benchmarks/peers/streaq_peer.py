"""streaq, results not kept."""

from __future__ import annotations

import work
from streaq import Worker

worker = Worker(redis_url=work.URL)


@worker.task(ttl=0)
async def handle() -> None:
    """See work."""
    work.handle()


@worker.task(ttl=0)
async def reply() -> None:
    """See work."""
    work.reply()


JOBS = {"handle": handle, "reply": reply}


async def begin() -> None:
    """Connect for as long as this process lives."""
    await worker.__aenter__()


async def put(job: str) -> None:
    """Enqueue."""
    await JOBS[job].enqueue()
