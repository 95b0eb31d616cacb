"""``hubq init``: the files of a new app."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

import typer

from hubq.cli.output import say
from hubq.config import checked_name
from hubq.errors import ConfigError

APP = '''"""Counters. Run them with `hubq dev app:hub`; then, elsewhere: `hubq start app:hub ann Counter`, `hubq call {hub} ann add 2`."""

from hubq import Child, Hub

hub = Hub("{hub}")  # Redis: HUBQ_REDIS_URL, else redis://localhost:6379/0


@hub.child(activate=True)  # a message starts the child, if it is not there
class Counter(Child):
    def __init__(self):
        self.total = 0  # the attributes are the state: it moves with the child, and outlives every worker

    async def add(self, number):
        self.total += number
        return self.total


def counter(name):
    return hub.ref(Counter, name)  # in your web app: counter("ann").call(Counter.add, 2)
'''

TEST = """from hubq import Hub
from hubq.testing import Cluster

from app import Counter


def test_a_counter_counts_on_wherever_it_is(hubq_run, hubq_server):
    async def scenario():
        async with Cluster(Hub("test", redis=hubq_server)) as cluster:
            await cluster.start("a")
            ann = cluster.hub.aio.ref(Counter, "ann")
            assert await ann.call(Counter.add, 2) == 2
            await cluster.start("b")
            await cluster.drain("a")
            assert await ann.call(Counter.add, 3) == 5

    hubq_run(scenario())
"""

COMPOSE = """# Redis and two workers: docker compose up. hubq and your own packages are to be in requirements.txt.
x-worker: &worker
  image: python:3.12-slim
  working_dir: /app
  volumes: [".:/app:ro"]
  environment:
    HUBQ_REDIS_URL: redis://redis:6379/0
  depends_on:
    redis:
      condition: service_healthy
  stop_grace_period: 45s # longer than a worker's own drain

services:
  redis:
    image: redis:7-alpine
    command: ["redis-server", "--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    volumes: ["redis:/data"]
    healthcheck:
      test: ["CMD", "redis-cli", "ping"]
      interval: 1s
      retries: 30

  worker-a:
    <<: *worker
    command: ["sh", "-c", "pip install -q -r requirements.txt && exec hubq worker app:hub --name a"]

  worker-b:
    <<: *worker
    command: ["sh", "-c", "pip install -q -r requirements.txt && exec hubq worker app:hub --name b"]

volumes:
  redis:
"""

#: File -> what is in it, with {hub} for the id of the hub.
FILES = {"app.py": APP, "test_app.py": TEST, "compose.yaml": COMPOSE}


def init_command(
    directory: Annotated[Path, typer.Argument(help="Where to write; it is made if it is not there.")] = Path("."),
    hub: Annotated[
        str | None, typer.Option(metavar="ID", help="The id of the hub. \\[default: the directory's name]")
    ] = None,
) -> None:
    """Write a new app of twenty lines, a test of it, and a compose file. Nothing that is there is overwritten."""
    there = [name for name in FILES if (directory / name).exists()]
    if there:
        are = "are" if len(there) > 1 else "is"
        raise ConfigError(f"{', '.join(there)} {are} there already: give another directory (nothing was written)")
    name = checked_name("hub id", hub) if hub is not None else hub_id_of(directory.resolve().name)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for file, content in FILES.items():
            with (directory / file).open("x", encoding="utf-8") as stream:  # one that came meanwhile stays, too
                stream.write(content.replace("{hub}", name))
            say(f"wrote {directory / file}")
    except OSError as error:
        raise ConfigError(f"cannot write into {directory}: {error}") from error
    go = "" if directory == Path(".") else f"cd {shlex.quote(str(directory))} && "
    say(f"run it: {go}hubq dev app:hub        test it: {go}pytest        (both need: pip install 'hubq[local]')")


def hub_id_of(name: str) -> str:
    """A hub's id made from the name of a directory.

    >>> hub_id_of("My Shop"), hub_id_of("..."), hub_id_of("chat-2")
    ('My-Shop', 'app', 'chat-2')
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:48] or "app"
