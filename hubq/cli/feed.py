"""``hubq feed``: what a child publishes."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Annotated

import typer

from hubq.cli.loading import ChildId, HubName, RedisUrl, open_hub
from hubq.cli.output import json_line, say
from hubq.core.feed import Event, Gap
from hubq.store.viewer import look, plain, words


def feed_command(
    hub: HubName,
    child: ChildId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new events as they come.")] = False,
    after: Annotated[
        str | None,
        typer.Option(
            "--after", metavar="ID", help="Begin behind this event. Default: all that is kept; with --follow: now."
        ),
    ] = None,
    topics: Annotated[
        list[str] | None, typer.Option("--topic", metavar="TOPIC", help="Only events of this topic. May be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one event per line.")] = False,
    redis: RedisUrl = None,
) -> None:
    """Show the events that a child has published. No class is imported and no code runs.

    It ends when the child ends. `--after 0 --follow` prints all that is kept, and then what comes.
    """
    any_item = False
    try:
        with open_hub(hub, redis).ref(child).feed(after, topics or None, follow=follow) as feed:
            for item in feed:
                any_item = True
                _print(item, as_json)
    except KeyboardInterrupt:
        return
    if not any_item and not as_json:
        which = "no such event" if after or topics else "no event"
        say(f"{which} of {child} is kept; --follow waits for what comes", sys.stderr)


def _print(item: Event | Gap, as_json: bool) -> None:
    if isinstance(item, Gap):
        missed = "some" if item.missed is None else str(item.missed)
        if as_json:
            print(json_line({"gap": item._asdict()}), flush=True)
        else:
            say(f"-- {missed} events before {item.before} are not there any more")
        return
    try:
        seen = look(item.payload)
    except ValueError as error:
        seen = f"(cannot be shown: {error})"
    if as_json:
        said = {"id": item.id, "topic": item.topic, "at": item.at, **({"draft": item.draft} if item.draft else {})}
        print(json_line({**said, "data": plain(seen)}), flush=True)
    else:
        at = datetime.fromtimestamp(item.at).astimezone().isoformat(" ", "milliseconds")
        say(f"{at}  {item.id}  {item.topic}{' (draft)' if item.draft else ''}  {words(seen)}")
