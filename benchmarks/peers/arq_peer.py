"""arq, polling every 5 ms instead of every 500, results not kept."""

from __future__ import annotations

from typing import Any

import work
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings


async def handle(ctx: Any) -> None:
    """See work."""
    work.handle()


async def reply(ctx: Any) -> None:
    """See work."""
    work.reply()


class WorkerSettings:
    """What ``arq arq_peer.WorkerSettings`` reads."""

    functions = (handle, reply)
    redis_settings = RedisSettings.from_dsn(work.URL)
    poll_delay = 0.005
    max_jobs = 100
    keep_result = 0


pool: ArqRedis


async def begin() -> None:
    """Connect."""
    global pool
    pool = await create_pool(WorkerSettings.redis_settings)


async def put(job: str) -> None:
    """Enqueue."""
    await pool.enqueue_job(job)
