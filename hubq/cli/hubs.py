"""``hubq hubs`` and ``hubq delete-hub``: the hubs of a Redis."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hubq.cli.importing import uncollected
from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import print_records, print_table, say
from hubq.cli.reachable import NO_REDIS
from hubq.client.operations.removal import delete_hub
from hubq.errors import ConfigError, HubqError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hubq.client.discovery import HubInfo
    from hubq.client.hub import Hub


def hubs_command(as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """List the hubs of a Redis, with their workers."""
    with uncollected():
        from hubq.client.discovery import look_for_hubs
        from hubq.client.groups import servers_of

    seen = look_for_hubs(redis)
    if seen.hubs or as_json:
        _print_hubs(seen.hubs, as_json)
    elif not seen.away:
        address = ", ".join(server.address for server in servers_of(redis))
        say(f"no hub in Redis at {address}: the first worker of a hub makes it", sys.stderr)
    for error in seen.away:
        say(f"hubq: hubs are left out: {error}", sys.stderr)
    if seen.away:
        raise typer.Exit(NO_REDIS)


def _print_hubs(found: Sequence[HubInfo], as_json: bool) -> None:
    if as_json:
        print_records(found)
        return
    rows = [(hub.hub_id, hub.shards, hub.groups or "?", ", ".join(hub.nodes) or "-") for hub in found]
    if all(hub.groups == 1 for hub in found):
        print_table(("hub", "shards", "workers"), [(name, shards, workers) for name, shards, _, workers in rows])
    else:
        print_table(("hub", "shards", "groups", "workers"), rows)


def delete_hub_command(
    hub: HubName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    without_jobs: Annotated[
        bool, typer.Option("--without-jobs", help="Leave jobs alone: for a hub on a Redis Cluster that has none.")
    ] = False,
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
    if not without_jobs:
        _must_know_its_jobs(opened)
    if not yes:
        children = opened.inspect.glance(0).children
        what = f"hub {opened.hub_id} at {opened.groups.address} with {children:,} {'child' if children == 1 else 'children'}"
        if not sys.stdin.isatty():
            raise ConfigError(f"nobody is there to ask whether to delete {what}: give --yes")
        if not typer.confirm(f"Delete {what} and all their messages and jobs, for good?"):
            say("nothing was deleted", sys.stderr)
            raise typer.Exit(1)
    jobs = ""
    if not without_jobs:
        from hubq.jobs.removal import delete_jobs

        jobs = f", {delete_jobs(opened):,} jobs"
    keys = opened.driver.drive(delete_hub(opened.driver.context))
    say(f"hub {opened.hub_id} deleted: {keys:,} keys{jobs}")


def _must_know_its_jobs(hub: Hub) -> None:
    """Jobs that are left over are found by nobody, once their hub is gone."""
    try:
        hub.jobs_server  # noqa: B018
    except ConfigError as error:
        raise ConfigError(f"{error}. A hub that has no jobs is deleted with --without-jobs") from None
