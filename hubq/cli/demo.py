"""``hubq demo``: shows with real processes, in under two minutes, that nothing is lost."""

from __future__ import annotations

from typing import Annotated

import typer


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
) -> None:
    """Count every word of Python's library while workers join, drain and die; then prove that nothing was lost."""
    from hubq.cli.demo_run import run_demo  # here: the other commands do not need its imports

    raise typer.Exit(run_demo(json, redis, buckets, seconds_limit))
