"""A process that runs jobs: started by a node (:mod:`hubq.jobs.processes`), and ends with it.

``python -m hubq.jobs.process FD``: FD is a socket to the node. What the process is to do comes as the first line, as JSON,
so that no password of Redis can be seen in the list of processes. When the socket closes, the node is gone.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import socket
import sys
import threading
from queue import Empty, Queue
from typing import Any, BinaryIO

import msgspec

from hubq.client.current import set_current_hub
from hubq.client.hub import Hub
from hubq.jobs.task import Task
from hubq.logs import set_up_logging
from hubq.store.connection import ANSWER_TIMEOUT, LOST, REFUSED, RedisServer, refused, unavailable

log = logging.getLogger("hubq.jobs")

#: How often an idle worker of keyed jobs tells RQ that it is there, seconds.
HEARTBEAT = 60.0
#: Its exit code if Redis cannot be reached, or refuses.
NO_REDIS = 3


def hub_of(task: Task) -> Hub:
    """The app's hub, or one like it."""
    if not task.app:
        return Hub(task.hub_id, redis=task.urls, jobs_redis=task.jobs_url, shards=task.shards, groups=task.groups)
    module, _, attribute = task.app.partition(":")
    hub: Any = importlib.import_module(module)
    for part in attribute.split("."):
        hub = getattr(hub, part)
    assert isinstance(hub, Hub)
    hub.connect_to(task.urls, RedisServer(task.jobs_url))
    return hub


def main() -> None:
    """Run until the node says so, or is gone."""
    line = socket.socket(fileno=int(sys.argv[1]))
    line.set_inheritable(False)
    told = line.makefile("rb")
    task = msgspec.json.decode(told.readline(), type=Task)
    sys.path[:] = task.path
    for name in ("rq.worker", "rq.job"):  # RQ sets their level itself, to INFO: three more lines for each job
        logging.getLogger(name).setLevel(logging.DEBUG if task.logs.verbose else logging.WARNING)
    hub = hub_of(task)
    set_up_logging(task.logs)
    set_current_hub(hub)
    try:
        if task.work == "queue":
            work_queue(hub, task, told)
        else:
            work_keys(hub, task, told, line)
    except LOST as error:
        if isinstance(error, OSError):
            raise  # of the line to the node, or of anything else: redis-py has errors of its own
        sys.exit(_said(task, unavailable(hub.jobs_server, error)))
    except REFUSED as error:
        sys.exit(_said(task, refused(hub.jobs_server, error)))


def _said(task: Task, error: Exception) -> int:
    """Say in one line why it ends; its exit code."""
    log.error("job process %s: %s", task.name, error)
    return NO_REDIS


def work_queue(hub: Hub, task: Task, told: BinaryIO) -> None:
    """Be an RQ worker of the hub's queue."""
    from hubq.jobs.hub_job import HubJob
    from hubq.jobs.hub_queue import HubQueue
    from hubq.jobs.serializer import serializer_of
    from hubq.jobs.work import HubWorker

    connection = hub.jobs_server.sync_client(ANSWER_TIMEOUT)
    serializer = serializer_of(hub)
    queue = HubQueue(hub.queue_name, connection=connection, job_class=HubJob, serializer=serializer)
    worker = HubWorker(
        [queue],
        name=task.name,
        connection=connection,
        serializer=serializer,
        grace=task.grace,
        seal=hub.driver.context.seal,
    )

    def watch_node() -> None:
        told.read()  # returns when the node has ended, or has closed the line
        if HubQueue.stopping.is_set():
            worker.hurry()
        os.kill(os.getpid(), signal.SIGTERM)

    worker._install_signal_handlers()  # type: ignore[no-untyped-call]  # before anybody can send one
    threading.Thread(target=watch_node, daemon=True, name="hubq-node").start()
    worker.work(logging_level="DEBUG" if task.logs.verbose else "WARNING")


def work_keys(hub: Hub, task: Task, told: BinaryIO, line: socket.socket) -> None:
    """Perform jobs of keys, as the node names them, and say of each how it went."""
    from hubq.jobs.keyed_work import KeyedQueue, KeyedWorker, perform
    from hubq.jobs.serializer import serializer_of
    from hubq.jobs.work import end_with_parent, go_on

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, go_on)  # the signal is meant for the node, which says whether the job may go on
    end_with_parent(signal.SIGKILL)
    connection = hub.jobs_server.sync_client(ANSWER_TIMEOUT)
    serializer = serializer_of(hub)
    queue = KeyedQueue(hub.queue_name, connection=connection, serializer=serializer)
    worker = KeyedWorker([queue], name=task.name, connection=connection, serializer=serializer)
    worker.register_birth()  # type: ignore[no-untyped-call]
    asked: Queue[str | None] = Queue()
    idle = threading.Event()
    idle.set()

    def listen() -> None:
        for name in told:
            asked.put(name.decode().strip())
        # The node is gone, or ends this process. A job in hand is run again by the next owner of its key.
        if not idle.is_set():
            os._exit(1)
        asked.put(None)

    threading.Thread(target=listen, daemon=True, name="hubq-node").start()
    while True:
        try:
            job_id = asked.get(timeout=HEARTBEAT)
        except Empty:
            worker.heartbeat()
            continue
        if job_id is None:
            break
        idle.clear()
        again = perform(worker, job_id)
        idle.set()
        line.sendall(msgspec.json.encode({"again": again}) + b"\n")
    worker.register_death()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
