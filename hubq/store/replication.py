"""WAIT: whether what was just written on this connection has reached the replicas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubq.config import Config
from hubq.errors import NotReplicated, RedisUnavailable
from hubq.store.command import Command, plain
from hubq.store.connection import AsyncRedis


def with_wait(commands: Sequence[Command[Any]], config: Config, timeout: float | None = None) -> Sequence[Command[Any]]:
    """The commands, and WAIT behind them in the same request (it counts what its own connection has written).

    After a blocking read WAIT would count from before it blocked: a TIME in between brings it up to date. ``timeout``: seconds, instead
    of ``wait_timeout``.
    """
    ms = max(1, int((config.wait_timeout if timeout is None else timeout) * 1000))
    now = [plain("TIME", read=lambda answer: None)] if commands[0].blocks else []
    return [*commands, *now, plain("WAIT", config.wait_replicas, ms, read=int)]


async def confirmed(redis: AsyncRedis, config: Config, timeout: float | None = None) -> int:
    """How many replicas have all that this connection's Redis has written so far; 0 if it cannot be told."""
    now = plain("TIME", read=lambda answer: None)
    try:
        _, count = await redis.run_many(with_wait([now], config, timeout))
    except RedisUnavailable:
        return 0
    return int(count)


def shortfall(confirmed: int, config: Config, what: str) -> NotReplicated | None:
    """The error if too few replicas have it.

    >>> print(shortfall(0, Config(wait_replicas=1), "sent"))
    sent, but only 0 of 1 replicas (wait_replicas) have confirmed it within 1 s: a failover now may lose it
    """
    if confirmed >= config.wait_replicas:
        return None
    return NotReplicated(
        f"{what}, but only {confirmed} of {config.wait_replicas} replicas (wait_replicas) have confirmed it within "
        f"{config.wait_timeout:g} s: a failover now may lose it"
    )
