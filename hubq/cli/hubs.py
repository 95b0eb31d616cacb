"""``hubq hubs`` and ``hubq delete-hub``: the hubs of a Redis."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from hubq.cli.importing import uncollected
from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import print_records, print_table, say
from hubq.client.operations.removal import delete_hub
from hubq.errors import ConfigError, HubqError


def hubs_command(as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """List the hubs of a Redis, with their workers."""
    with uncollected():
        from hubq.client.discovery import hubs
        from hubq.client.groups import servers_of

    found = hubs(redis)
    if as_json:
        print_records(found)
        return
    if not found:
        address = ", ".join(server.address for server in servers_of(redis))
        say(f"no hub in Redis at {address}: the first worker of a hub makes it", sys.stderr)
        return
    print_table(("hub", "shards", "workers"), [(hub.hub_id, hub.shards, ", ".join(hub.nodes) or "-") for hub in found])


def delete_hub_command(
    hub: HubName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    redis: RedisUrl = None,
) -> None:
    """Delete a hub for good: its children with their states, all messages that wait, its events and its jobs.

    Refused while a worker of the hub runs. A web app that sends to it later begins a new hub.
    """
    from hubq.client.discovery import hubs

    opened = open_hub(hub, redis)
    if opened.hub_id not in {info.hub_id for info in hubs(opened.groups.given)}:  # to ask the hub itself would make it
        raise HubqError(
            f"no hub {opened.hub_id!r} in Redis at {opened.groups.address}: hubq hubs lists those there are"
        )
    if workers := sorted(node.name for node in opened.nodes() if node.lease > 0):
        raise HubqError(f"hub {opened.hub_id!r} is served by {', '.join(workers[:5])}: hubq drain them first")
    if not yes:
        children = opened.inspect.glance(0).children
        what = f"hub {opened.hub_id} at {opened.groups.address} with {children:,} {'child' if children == 1 else 'children'}"
        if not sys.stdin.isatty():
            raise ConfigError(f"nobody is there to ask whether to delete {what}: give --yes")
        if not typer.confirm(f"Delete {what} and all their messages and jobs, for good?"):
            say("nothing was deleted", sys.stderr)
            raise typer.Exit(1)
    from hubq.jobs.removal import delete_jobs

    jobs = delete_jobs(opened)
    keys = opened.driver.drive(delete_hub(opened.driver.context))
    say(f"hub {opened.hub_id} deleted: {keys:,} keys, {jobs:,} jobs")
