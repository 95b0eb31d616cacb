"""``hubq events``: what has happened in a hub, and what happens."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubq.cli.conversion import Command
from hubq.cli.loading import HubName, RedisUrl, open_hub
from hubq.cli.output import json_line, say
from hubq.cli.reachable import of_those_that_answer
from hubq.client.operations.event_lines import for_people, spans
from hubq.client.operations.happened import Event
from hubq.core.event_types import unknown_type
from hubq.core.wording import left_out
from hubq.errors import ConfigError, RedisUnavailable

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Pause before Redis is asked again after it could not be reached, seconds.
AGAIN = 1.0
#: Groups that did not answer are asked again after so long, seconds. Each time costs 5 s if they stand still.
ASK_ALL = 15.0
#: Events that are read to print a few lines: one join may be some hundred events.
MOST_EVENTS = 5_000


class ListsTypes(Command):
    """``hubq events --type`` without a type is told the types, with a hub or without one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args[-1:] == ["--type"]:
            raise ConfigError(unknown_type(""))
        return super().parse_args(ctx, args)


def events_command(
    hub: HubName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new events as they come.")] = False,
    count: Annotated[int, typer.Option("-n", "--count", min=0, help="Number of past events to print first.")] = 20,
    kinds: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Only events of this type. May be repeated. Without one: say which there are.",
        ),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Print every event on its own line, as --type and --json do.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one event per line.")] = False,
    redis: RedisUrl = None,
) -> None:
    """Show the latest events: joins, drains, evictions, starts, stops, moves, failures.

    Events of many shards at once are one line, and passed tokens are left out. --all prints every event.
    """
    wanted = set(kinds or ())
    for kind in wanted:
        if wrong := unknown_type(kind):
            raise ConfigError(wrong)
    opened = open_hub(hub, redis)
    raw = every or as_json or bool(wanted)
    if not follow:
        with of_those_that_answer(opened):
            _print_events(_last_events(opened, count, wanted, raw)[1], as_json)
        return
    with opened.inspect.reachable():  # what does not answer is named below
        last, shown = _last_events(opened, count, wanted, raw)
    _print_events(shown, as_json)
    told = ""
    with suppress(KeyboardInterrupt):  # wherever it comes, also between two tries
        while True:
            try:
                last, told = _followed(opened, last, told, wanted, raw, as_json)
            except RedisUnavailable as error:
                told = _told_once(told, str(error))
                time.sleep(AGAIN)


def _last_events(opened: Hub, count: int, wanted: set[str], raw: bool) -> tuple[str, list[Event]]:
    if raw:
        return opened.inspect.events(count, wanted)
    last, shown = opened.inspect.events(MOST_EVENTS if count else 0)
    return last, for_people(shown)[-count:] if count else []


def _followed(
    opened: Hub, last: str, told: str, wanted: set[str], raw: bool, as_json: bool
) -> tuple[str, str]:  # fmt: skip
    """Print what comes, until groups that do not answer are to be asked again. Where to go on, and what was said of those groups."""
    again = time.monotonic() + ASK_ALL
    with opened.inspect.reachable() as away:
        for events in opened.inspect.follow(last):
            told = _told_once(told, left_out(away)) if away else ""
            shown = [event for event in events if not wanted or event.type in wanted]
            _print_events(shown if raw else for_people(shown), as_json)
            last = events[-1].id if events else last
            if away and time.monotonic() > again:
                break
    return last, told


def _told_once(told: str, why: str) -> str:
    if why != told:
        say(f"hubq: {why}; trying again", sys.stderr)
    return why


def _print_events(events: list[Event], as_json: bool) -> None:
    for event in events:
        if as_json:
            print(json_line(asdict(event)), flush=True)
        else:
            fields = {**event.fields, **({"shards": spans(event.fields["shards"])} if "shards" in event.fields else {})}
            said = " ".join(f"{name}={value}" for name, value in fields.items())
            at = datetime.fromtimestamp(event.at).astimezone().isoformat(" ", "milliseconds")
            say(f"{at}  {event.type}  {said}")
