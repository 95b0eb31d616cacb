"""taskiq with taskiq-redis streams, no results."""

from __future__ import annotations

import work
from taskiq_redis import RedisStreamBroker

broker = RedisStreamBroker(url=work.URL)


@broker.task
async def handle() -> None:
    """See work."""
    work.handle()


@broker.task
async def reply() -> None:
    """See work."""
    work.reply()


JOBS = {"handle": handle, "reply": reply}


async def begin() -> None:
    """Connect."""
    await broker.startup()


async def put(job: str) -> None:
    """Enqueue."""
    await JOBS[job].kiq()
