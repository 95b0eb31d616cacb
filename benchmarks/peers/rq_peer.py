"""RQ with its SimpleWorker (no fork per job), results not kept."""

from __future__ import annotations

import work
from rq import Queue, SimpleWorker

queue = Queue("bench", connection=work.redis)
JOBS = {"handle": work.handle, "reply": work.reply}


def put(job: str) -> None:
    """Enqueue."""
    queue.enqueue(JOBS[job], result_ttl=0)


if __name__ == "__main__":
    SimpleWorker([queue], connection=work.redis).work(logging_level="ERROR")
