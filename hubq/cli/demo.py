"""``hubq demo``: the promise, shown on this machine with real processes, in under two minutes."""

from __future__ import annotations

from typing import Annotated

import typer


def demo_command(
    json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object, and nothing else.")
    ] = False,
    buckets: Annotated[int, typer.Option(min=8, max=1000, help="Children; each counts one bucket of words.")] = 200,
    seconds_limit: Annotated[float, typer.Option(help="Give up after so many seconds.")] = 110.0,
    redis: Annotated[str | None, typer.Option(help="Redis URL. Default: HUBQ_REDIS_URL, else one of its own.")] = None,
) -> None:
    """Count every word of Python's library while workers join, drain and die; then prove that nothing was lost."""
    from hubq.cli.demo_run import run_demo  # it needs much that the other commands do not

    raise typer.Exit(run_demo(json, redis, buckets, seconds_limit))
