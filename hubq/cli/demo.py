"""``hubq demo``: shows with real processes, in under two minutes, that nothing is lost."""

from __future__ import annotations

from typing import Annotated

import typer

from hubq.errors import ConfigError


def demo_command(
    json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object, and nothing else.")
    ] = False,
    buckets: Annotated[
        int, typer.Option(min=8, max=1000, help="Number of children. Each counts one bucket of words.")
    ] = 200,
    seconds_limit: Annotated[float, typer.Option(help="Give up after this many seconds.")] = 110.0,
    redis: Annotated[
        str | None, typer.Option(help="Redis URL. Default: HUBQ_REDIS_URL, else a Redis of its own.")
    ] = None,
    primaries: Annotated[
        int,
        typer.Option(
            min=1, max=8, help="More than 1: a Redis Cluster of its own, whose slots move and which fails over."
        ),
    ] = 1,
) -> None:
    """Count every word of Python's library while workers join, drain and die; then prove that nothing was lost."""
    from hubq.cli.demo_run import run_demo  # here: the other commands do not need its imports

    if primaries > 1 and redis is not None:
        raise ConfigError(
            f"--primaries {primaries} starts a Redis Cluster of its own, and --redis names another: leave one out"
        )
    raise typer.Exit(run_demo(json, redis, buckets, seconds_limit, primaries))
