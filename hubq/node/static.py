"""Static children: they are given to the hub itself. The first node starts them, once in the life of the hub."""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from hubq.client.asking.async_session import AsyncSession
from hubq.client.asking.context import HubContext
from hubq.client.hub import Hub
from hubq.client.operations import starts
from hubq.errors import Partitioned
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.registry import read_texts

log = logging.getLogger("hubq.node")

#: How long a node waits to hear how the start of static children went, seconds.
PATIENCE = 60.0
#: How often it is tried again while the hub has no quorum, seconds.
QUORUM_LOOK = 0.5


async def start_static(hub: Hub, context: HubContext, redis: AsyncRedis) -> None:
    """Start the static children that were never started, and write down in ``static`` that they were. A child that
    somebody has stopped is not started again. A child that could not start is tried again by the next node.

    ``context``: the group whose static children they are. ``redis`` is this function's own: it waits for replies, and closes it.
    """
    session = AsyncSession(context, redis)
    key = context.keys.static
    try:
        known = await redis.run(read_texts(key), retry_for=hub.config.lease)
        specs = [spec for spec in hub.child_specs if context.is_mine(spec.child_id) and spec.child_id not in known]
        if not specs:
            return
        start = partial(starts.start_children, context, specs, on_failure="continue", check_existing=False)
        while True:
            try:
                ticket = await session.drive(start())
                break
            except Partitioned:
                await asyncio.sleep(QUORUM_LOOK)
        now = await redis.run(plain("TIME", read=lambda answer: int(answer[0])))
        for spec in specs:
            await redis.run(plain("HSETNX", key, spec.child_id, now, read=int), retry_for=hub.config.lease)
        result = await session.drive(starts.collect_start(context, ticket, PATIENCE))
        for child, error in result.errors.items():
            log.error("static child %s: %s", child, error)
            await redis.run(plain("HDEL", key, child, read=int), retry_for=hub.config.lease)
    finally:
        await session.close()
