"""``hubq move``: a child goes to another worker, live."""

from __future__ import annotations

from typing import Annotated

import typer

from hubq.cli.loading import ChildId, HubName, RedisUrl, open_hub
from hubq.errors import ConfigError


def move_command(
    hub: HubName,
    child: ChildId,
    node: Annotated[
        str | None, typer.Argument(metavar="[NODE]", help="The worker it is to live on, see `hubq nodes`.")
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="Back to the worker of its shard.")] = False,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait until it is there.")] = 10.0,
    redis: RedisUrl = None,
) -> None:
    """Move a child to another worker, with its state, while it is in use; it stays there."""
    if (node is None) == (not back):
        raise ConfigError("give either the NODE the child is to live on, or --back")
    place = open_hub(hub, redis).move(child, node, timeout=timeout)
    print(f"{child} is on {place.node}" + (" (pinned)" if place.pinned else ""))
