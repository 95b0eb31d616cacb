"""Dramatiq, one process of 8 threads, no results."""

from __future__ import annotations

import dramatiq
import work
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=work.URL))
JOBS = {
    name: dramatiq.actor(function, actor_name=name)
    for name, function in (("handle", work.handle), ("reply", work.reply))
}


def put(job: str) -> None:
    """Enqueue."""
    JOBS[job].send()
