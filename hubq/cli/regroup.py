"""``hubq regroup``: a hub is moved to another number of groups, on its Redis or on another one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hubq.cli.importing import uncollected
from hubq.cli.loading import HubName, RedisUrl, load_hub
from hubq.cli.output import print_table, say
from hubq.config import checked_name
from hubq.errors import ConfigError

if TYPE_CHECKING:
    from hubq.client.hub import Hub
    from hubq.client.regroup.tally import Tally
    from hubq.store.connection import Server


def regroup_command(
    hub: HubName,
    groups: Annotated[int | None, typer.Option(metavar="N", help="How many groups the hub shall have.")] = None,
    to: Annotated[
        str | None, typer.Option(metavar="URL", help="The Redis to move it to. Default: the one where it is.")
    ] = None,
    delete_source: Annotated[
        bool, typer.Option("--delete-source", help="Delete what the move has left of the former hub.")
    ] = False,
    abandon: Annotated[
        bool, typer.Option("--abandon", help="Give up a move that has not ended: the hub is as it was.")
    ] = False,
    redis: RedisUrl = None,
) -> None:
    """Move a hub to another number of groups: children, states, messages, reminders, feeds, all that it has.

    Stop its workers and its web apps first. It can be ended at any moment, and run again.
    """
    if abandon and (groups is not None or delete_source):
        raise ConfigError("--abandon goes alone: it gives up the move that was begun")
    if groups is None and not abandon and not delete_source:
        raise ConfigError("how many groups shall the hub have? Give --groups N (and --to URL for another Redis)")
    with uncollected():
        from hubq.client.hub import Hub
        from hubq.client.regroup.regroup import Regroup, found_source
        from hubq.client.regroup.sides import Side

    hub_id, given = _named(hub, redis)
    source, record = found_source(hub_id, given)
    number = groups or (record.groups if record is not None else source.config.groups)
    target = Hub(
        hub_id, redis=to if to is not None else list(source.groups.given), shards=source.config.shards, groups=number
    )
    with Side(source) as before, Side(target) as after:
        move = Regroup(before, after, record, lambda line: say(line, sys.stderr))
        if abandon:
            move.abandon()
            say(f"hub {hub_id} is as it was: groups={source.config.groups} at {source.groups.address}")
            return
        if groups is not None:
            _tell(target, move.run())
        if delete_source:
            say(f"deleted {move.delete_source():,} keys that the move had left at {source.groups.address}")


def _named(hub: str, redis: str | None) -> tuple[str, str | list[Server] | None]:
    """The id of the hub, and where it is. (An app may have its new number of groups already.)"""
    if ":" not in hub:
        return checked_name("hub id", hub), redis
    loaded = load_hub(hub, redis)
    return loaded.hub_id, list(loaded.groups.given)


def _tell(target: Hub, tally: Tally | None) -> None:
    if tally is not None:
        rows = [
            (kind, len(count.keys), count.entries, f"{count.digest:032x}"[:12])
            for kind, count in sorted(tally.counts.items())
        ]
        print_table(("copied and compared", "keys", "entries", "digest"), rows)
    number, address = target.config.groups, target.groups.address
    say(
        f"hub {target.hub_id} has groups={number} at {address}: start its workers with Hub({target.hub_id!r}, groups={number}, ...)"
    )
    if len(target.groups.given) > 1 or "+cluster" in address:
        say("its plain jobs stay in RQ, where they are: name that Redis as jobs_redis=", sys.stderr)
