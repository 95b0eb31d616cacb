"""``hubq drain``: a worker hands its children over, then leaves."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Annotated

import typer

from hubq.cli.loading import HubName, RedisUrl, open_hub
from hubq.cli.output import say
from hubq.errors import HubqError

POLL = 0.1


def drain_command(
    hub: HubName,
    node: Annotated[str, typer.Argument(metavar="NODE", help="The name of the worker. See `hubq nodes`.")],
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds to wait until the worker has left.")] = 60.0,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until the worker has left, or return at once.")
    ] = True,
    redis: RedisUrl = None,
) -> None:
    """Make a worker hand all its children over and end. Wait until it has left."""
    opened = open_hub(hub, redis)
    before = {each.name: each for each in opened.nodes()}
    if node not in before:
        known = ", ".join(before) or "none"
        raise HubqError(f"no node {node!r} in hub {opened.hub_id!r}: give one of {known}")
    incarnation = before[node].incarnation
    opened.drain(node)
    if not wait:
        say(f"{node} drains")
        return
    give_up = time.monotonic() + timeout
    with contextlib.ExitStack() as stack:
        status = None
        if sys.stderr.isatty():
            from rich.console import Console

            status = stack.enter_context(Console(stderr=True).status(f"draining {node}"))
        while left := [each for each in opened.nodes() if each.name == node and each.incarnation == incarnation]:
            if time.monotonic() > give_up:
                raise HubqError(
                    f"node {node!r} has not left within {timeout:g} s: it still has {left[0].shards} shards and "
                    f"{left[0].pins} pinned children. It goes on handing them over; see `hubq nodes`"
                )
            if status is not None:
                status.update(f"draining {node}: {left[0].shards} shards, {left[0].pins} pinned children left")
            time.sleep(POLL)
    say(f"{node} has left")
