"""``hubq move``: move a running child to another worker."""

from __future__ import annotations

from typing import Annotated

import typer

from hubq.cli.loading import ChildId, HubName, RedisUrl, open_hub
from hubq.cli.output import say
from hubq.config import CHANGE_TIMEOUT
from hubq.errors import ConfigError


def move_command(
    hub: HubName,
    child: ChildId,
    node: Annotated[
        str | None, typer.Argument(metavar="[NODE]", help="The worker to move it to. See `hubq nodes`.")
    ] = None,
    back: Annotated[bool, typer.Option("--back", help="Move it back to the worker of its shard.")] = False,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for the move.")] = CHANGE_TIMEOUT,
    redis: RedisUrl = None,
) -> None:
    """Move a running child, with its state, to another worker. It stays there."""
    if (node is None) == (not back):
        raise ConfigError("give either NODE, the worker to move the child to, or --back")
    place = open_hub(hub, redis).move(child, node, timeout=timeout)
    say(f"{child} is on {place.node}" + (" (pinned)" if place.pinned else ""))
