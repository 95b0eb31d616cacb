"""Celery, solo pool, no results, no gossip, mingle or heartbeat."""

from __future__ import annotations

import work
from celery import Celery

app = Celery("celery_peer", broker=work.URL)
app.conf.update(task_ignore_result=True, worker_prefetch_multiplier=64, broker_connection_retry_on_startup=True)
JOBS = {name: app.task(function, name=name) for name, function in (("handle", work.handle), ("reply", work.reply))}


def put(job: str) -> None:
    """Enqueue."""
    JOBS[job].delay()
