"""``hubq worker``: one node of a hub, or several, each a process."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import platform
import re
import signal
import sys
import threading
from collections.abc import Callable
from typing import Annotated, Any

import typer

from hubq.cli.children import tag
from hubq.cli.loading import App, RedisUrl, load_hub
from hubq.cli.processes import run_processes
from hubq.client.hub import Hub
from hubq.config import checked_name
from hubq.node.node import Node

log = logging.getLogger("hubq.worker")

#: A `def` handler in a thread cannot be cancelled. Once its node has left, it may keep the process this long, seconds.
THREADS_MAY_LINGER = 2.0


def worker_command(
    app: App,
    name: Annotated[str | None, typer.Option(help="Name of the node, unique in the hub. [default: host-pid]")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Worker processes, named NAME-1, NAME-2, ...")] = 1,
    redis: RedisUrl = None,
    drain_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a SIGTERM leaves for handing the children over.")
    ] = 30.0,
    tags: Annotated[
        list[str] | None,
        typer.Option(
            "--tag", metavar="KEY=VALUE", help="A tag of the node, for distribution strategies; may be repeated."
        ),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")] = False,
) -> None:
    """Run a worker: it joins the hub and takes its share of the children.

    SIGTERM or Ctrl-C hands its children over to the other workers (or saves them, if it is the last) and ends it; a
    second one ends it at once.
    """
    node_name = checked_name("node name", name or default_name(platform.node(), os.getpid()))
    node_tags = dict(map(tag, tags or ()))
    if processes > 1:
        options = ["--drain-timeout", str(drain_timeout)]
        options += ["--redis", redis] if redis is not None else []
        options += ["--verbose"] if verbose else []
        for each in tags or ():
            options += ["--tag", each]
        names = [f"{node_name}-{number}" for number in range(1, processes + 1)]
        raise typer.Exit(run_processes({each: [app, "--name", each, *options] for each in names}))
    hub = load_hub(app, redis)
    set_up_logging(verbose)
    with asyncio.Runner(loop_factory=fastest_loop()) as runner:
        code = runner.run(serve(hub, node_name, drain_timeout, node_tags))
    _do_not_wait_for_threads(code)
    raise typer.Exit(code)


async def serve(hub: Hub, name: str, drain_timeout: float, tags: dict[str, str] | None = None) -> int:
    """Be a node until a signal, or until ``hubq drain`` has emptied it. 1: not everything was handed over in time."""
    asked = asyncio.Event()

    def on_signal(number: signal.Signals) -> None:
        if asked.is_set():
            log.warning("second signal: worker %s ends at once", name)
            logging.shutdown()
            os._exit(128 + number)
        log.info("%s: worker %s hands its children over", number.name, name)
        asked.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
    node = Node(hub, name, tags=tags)
    stop = asyncio.create_task(asked.wait())
    start = asyncio.create_task(node.start())
    await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not start.done():
        start.cancel()
        await asyncio.wait({start})
        return 0
    try:
        start.result()
    except BaseException:
        stop.cancel()
        raise
    log.info(
        "hubq worker %s: hub %s at %s, %d shards, pid %d",
        name, hub.hub_id, hub.server.address, hub.config.shards, os.getpid(),
    )  # fmt: skip
    emptied = asyncio.create_task(node.drained())
    await asyncio.wait({stop, emptied}, return_when=asyncio.FIRST_COMPLETED)
    done = await node.drain(drain_timeout)
    for task in (stop, emptied):
        task.cancel()
    log.info("worker %s has %s", name, "left" if done else "left before everything was handed over")
    return 0 if done else 1


def default_name(host: str, pid: int) -> str:
    """A node name nobody else has.

    >>> default_name("José's Mac.local", 17)
    'Jos-s-Mac.local-17'
    """
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', host).strip('-._')[:48] or 'node'}-{pid}"


def set_up_logging(verbose: bool) -> None:
    """Log to stderr, unless the app that was loaded has set up logging of its own."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("hubq").setLevel(logging.DEBUG if verbose else logging.INFO)


def fastest_loop() -> Callable[[], Any] | None:
    """uvloop's loop if it is installed, else asyncio's own."""
    try:
        factory: Callable[[], Any] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


def _do_not_wait_for_threads(code: int) -> None:
    timer = threading.Timer(THREADS_MAY_LINGER, os._exit, [code])
    timer.daemon = True
    timer.start()
