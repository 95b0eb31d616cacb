"""``hubq worker``: one node of a hub, or several nodes, each in a process of its own."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import platform
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubq.cli.children import tag
from hubq.cli.heap import EVERY, Heap, worker_heap
from hubq.cli.importing import uncollected
from hubq.cli.job_workers import checked_jobs, see_to_the_clock, serve_jobs
from hubq.cli.loading import App, RedisUrl, load_hub
from hubq.cli.processes import REDIS_OF_PARENT, run_processes
from hubq.cli.signals import on_first_signal
from hubq.cli.summary import summary
from hubq.config import checked_name
from hubq.errors import ConfigError, HubqError
from hubq.logs import LogFormat, LogLevel, LogSettings, set_up_logging

if TYPE_CHECKING:
    from hubq.cli.metrics import Pages
    from hubq.jobs.processes import JobProcesses
    from hubq.node.node import Node

log = logging.getLogger("hubq.worker")

#: How long a handler may keep the process after its node has left, seconds. (A thread cannot be cancelled, and an `async
#: def` handler may swallow its cancellation.)
MAY_LINGER = 2.0


def worker_command(
    app: App,
    name: Annotated[str | None, typer.Option(help="Name of the node, unique in the hub. \\[default: host-pid]")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Number of worker processes, named NAME-1, NAME-2, ...")] = 1,
    redis: RedisUrl = None,
    drain_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds to hand the children over after SIGTERM.")
    ] = 30.0,
    tags: Annotated[
        list[str] | None,
        typer.Option(
            "--tag", metavar="KEY=VALUE", help="A tag of the node, for distribution strategies. May be repeated."
        ),
    ] = None,
    app_version: Annotated[
        str,
        typer.Option(
            envvar="HUBQ_APP_VERSION",
            metavar="VERSION",
            help="The version of your app: in a rolling deploy each child moves once, to the newest.",
        ),
    ] = "",
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve /metrics, /healthz and /readyz at this port (0: any free port)."),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address for --metrics-port.")] = "127.0.0.1",
    reload: Annotated[
        bool, typer.Option("--reload", help="For development: restart the worker when the code changes.")
    ] = False,
    ready_failures: Annotated[
        int, typer.Option(min=0, max=9_999, help="Be ready though this many children cannot start on this worker.")
    ] = 0,
    jobs: Annotated[int, typer.Option(min=0, help="Number of RQ worker processes for one-off jobs.")] = 0,
    jobs_only: Annotated[bool, typer.Option("--jobs-only", help="Run jobs, but host no children.")] = False,
    children_only: Annotated[
        bool, typer.Option("--children-only", help="Host children, but run no jobs (default).")
    ] = False,
    log_level: Annotated[
        LogLevel,
        typer.Option(
            "--log-level",
            "--loglevel",
            "-l",
            envvar="HUBQ_LOG_LEVEL",
            case_sensitive=False,
            help="Log from this level on.",
        ),
    ] = LogLevel.INFO,
    log_format: Annotated[
        LogFormat, typer.Option(envvar="HUBQ_LOG_FORMAT", case_sensitive=False, help="Format of the log lines.")
    ] = LogFormat.TEXT,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step of hubq.")] = False,
) -> None:
    """Run a worker: it joins the hub and takes its share of the children.

    SIGTERM or Ctrl-C ends it: its children move to the other workers. If there is no other worker, their states are
    saved. A second SIGTERM or Ctrl-C, half a second later or more, ends it at once.
    """
    redis = redis or os.environ.pop(REDIS_OF_PARENT, None)
    jobs = checked_jobs(jobs, jobs_only, children_only)
    node_name = checked_name("node name", name or default_name(platform.node(), os.getpid()))
    node_tags = dict(map(tag, tags or ()))
    if app_version:
        checked_name("app version", app_version)
    logs = LogSettings(log_level, log_format, verbose)
    if processes > 1 or reload:
        set_up_logging(logs)
        options = ["--drain-timeout", str(drain_timeout), "--metrics-host", metrics_host]
        options += ["--log-level", log_level, "--log-format", log_format]
        options += ["--verbose"] if verbose else []
        options += ["--ready-failures", str(ready_failures)] if ready_failures else []
        options += ["--jobs", str(jobs), *(["--jobs-only"] if jobs_only else [])]
        options += ["--app-version", app_version] if app_version else []
        for each in tags or ():
            options += ["--tag", each]
        if processes > 1 and reload:
            raise ConfigError(f"--reload and --processes {processes} contradict each other: give one of them")
        if reload:
            from hubq.cli.reload import run_reloading

            options += ["--metrics-port", str(metrics_port)] if metrics_port is not None else []
            raise typer.Exit(run_reloading([app, "--name", node_name, *options], Path.cwd(), redis))
        workers = {f"{node_name}-{n}": port_of(metrics_port, n) for n in range(1, processes + 1)}
        raise typer.Exit(
            run_processes({each: [app, "--name", each, *options, *port] for each, port in workers.items()}, redis)
        )
    with uncollected():
        from hubq.cli.worker_clock import kept_clock
        from hubq.cli.worker_loop import run_to_end, worker_loop
        from hubq.jobs.condemned import watch_condemned
        from hubq.jobs.processes import JobProcesses
        from hubq.node.node import Node

    hub = load_hub(app, redis)
    hub.loaded_from(app)
    if (seal := hub.driver.context.seal) is not None:
        seal.keys.for_workers()  # those that only run jobs, too: they write results
    set_up_logging(logs)
    with kept_clock(), asyncio.Runner(loop_factory=worker_loop) as runner:
        loop = runner.get_loop()
        job_processes = JobProcesses(hub, node_name, jobs, app=app, drain_timeout=drain_timeout)
        if jobs_only:
            code = run_to_end(loop, serve_jobs(hub, node_name, job_processes, drain_timeout))
        else:
            watch_condemned(hub)
            measured = metrics_port is not None
            node = Node(
                hub, node_name, tags=node_tags, app_version=app_version, measured=measured,
                ready_failures=ready_failures, ends=os._exit,
            )  # fmt: skip
            pages = pages_of(node, metrics_host, metrics_port)  # before it joins: fails if the port is taken
            code = run_to_end(loop, serve(node, drain_timeout, pages, job_processes))
        _do_not_linger(code)
    raise typer.Exit(code)


def port_of(first: int | None, number: int) -> list[str]:
    """The option for the metrics port of worker number n.

    >>> port_of(9100, 3), port_of(0, 3), port_of(None, 3)
    (['--metrics-port', '9102'], ['--metrics-port', '0'], [])
    """
    return [] if first is None else ["--metrics-port", str(first and first + number - 1)]


async def serve(node: Node, drain_timeout: float, pages: Pages | None, job_processes: JobProcesses) -> int:
    """Run a node until a signal comes or ``hubq drain`` has emptied it. Returns 1 if not all was handed over in time."""
    hub, name = node.hub, node.name
    asked = on_first_signal(name, "hands its children over")
    heap = worker_heap()  # before it joins: shards that come would wait for it
    stop = asyncio.create_task(_until(asked))
    start = asyncio.create_task(node.start())
    await asyncio.wait({start, stop}, return_when=asyncio.FIRST_COMPLETED)
    if not start.done():
        # Not cancelled: the node may be a member already, and the others would wait for its lease to end.
        await asyncio.wait({start}, timeout=drain_timeout)
        if not start.done() or start.exception() is not None:
            start.cancel()
            return 0
    try:
        start.result()
    except BaseException:
        stop.cancel()
        raise
    log.info(
        "hubq worker %s: hub %s at %s, %d shards%s, pid %d",
        name, hub.hub_id, hub.groups.address, hub.config.shards,
        f" in {hub.config.groups} groups" if hub.config.groups > 1 else "", os.getpid(),
    )  # fmt: skip
    for line in summary(hub, node.tags, job_processes.count, drain_timeout):
        log.info("worker %s: %s", name, line)
    if pages is not None:
        pages.start()
        log.info("metrics and health at http://%s:%d: /metrics /healthz /readyz", pages.host, pages.port)
    job_processes.start()
    keeper = asyncio.create_task(keep_heap(heap, node))
    try:
        await asyncio.to_thread(see_to_the_clock, hub, job_processes.count)
    except HubqError as error:
        log.warning("the hub's clock could not be started, so scheduled jobs and cron wait: %s", error)
    emptied = asyncio.create_task(node.drained())
    await asyncio.wait({stop, emptied}, return_when=asyncio.FIRST_COMPLETED)
    ended, done = await asyncio.gather(job_processes.stop(drain_timeout), node.drain(drain_timeout))
    await hub.aio.close()
    if pages is not None:
        pages.stop()
    for task in (stop, emptied, keeper):
        task.cancel()
    log.info("worker %s has %s", name, "left" if done else "left before everything was handed over")
    return 0 if done and ended else 1


async def _until(asked: asyncio.Event) -> None:
    """(A task of asyncio's own code would be one of users' tasks: hubq.cli.worker_loop.)"""
    await asked.wait()


async def keep_heap(heap: Heap, node: Node) -> None:
    """Tune the garbage collector while the node serves."""
    loop = asyncio.get_running_loop()
    while True:
        heap.look(sum(len(holding.children) for holding in node.holdings), loop.time())
        await asyncio.sleep(EVERY)


def default_name(host: str, pid: int) -> str:
    """A node name that no other process has.

    >>> default_name("José's Mac.local", 17)
    'Jos-s-Mac.local-17'
    """
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', host).strip('-._')[:48] or 'node'}-{pid}"


def pages_of(node: Node, host: str, port: int | None) -> Pages | None:
    """The metrics and health pages of a node, if a port is given."""
    if port is None:
        return None
    from hubq.cli.metrics import Pages

    return Pages(node, host, port)


def fastest_loop() -> Callable[[], Any] | None:
    """uvloop's loop if it is installed, else asyncio's own."""
    try:
        factory: Callable[[], Any] = importlib.import_module("uvloop").new_event_loop
    except ImportError:
        return None
    return factory


def _do_not_linger(code: int) -> None:
    timer = threading.Timer(MAY_LINGER, os._exit, [code])
    timer.daemon = True
    timer.start()
