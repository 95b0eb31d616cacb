"""All jobs that wait in the queue of a hub, run in this process."""

from __future__ import annotations

import signal
from contextvars import copy_context

import rq

from hubq import Hub
from hubq.client.current import set_current_hub
from hubq.jobs.hub_job import HubJob
from hubq.jobs.hub_queue import HubQueue
from hubq.jobs.serializer import serializer_of


class Worker(rq.SimpleWorker):
    job_class = HubJob
    queue_class = HubQueue


def run_all(hub: Hub) -> None:
    """Until the queue is empty."""
    before = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]

    def run() -> None:
        set_current_hub(hub)
        connection, serializer = hub.rq_queue.connection, serializer_of(hub)
        queue = HubQueue(hub.queue_name, connection=connection, job_class=HubJob, serializer=serializer)
        Worker([queue], connection=connection, serializer=serializer).work(burst=True, logging_level="CRITICAL")

    try:
        copy_context().run(run)  # (tests that come later have no current hub)
    finally:
        for number, handler in before:  # RQ leaves its own behind
            signal.signal(number, handler)
