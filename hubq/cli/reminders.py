"""``hubq reminders``: what is due, and when."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import duration, print_records, print_table
from hubq.cli.reachable import of_those_that_answer
from hubq.core.reminders import Reminder


def reminders_command(
    hub: HubName,
    child: Annotated[
        str | None, typer.Argument(metavar="[CHILD]", help="Only those of this child. Default: those of all.")
    ] = None,
    as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:
    """List the reminders of a child, or of all children, and messages that are sent later; the next one first."""
    opened = open_hub(hub, redis)
    with of_those_that_answer(opened):
        _print(opened.inspect.reminders(child), as_json)


def _print(found: list[Reminder], as_json: bool) -> None:
    if as_json:
        print_records(found)
        return
    now = time.time()
    rows = [
        (
            each.child_id, each.name, each.method, _until(each.due - now),
            "-" if each.every is None else duration(each.every), each.late,
        )
        for each in found
    ]  # fmt: skip
    print_table(("child", "name", "method", "due", "every", "late"), rows)


def _until(seconds: float) -> str:
    """How long until then, or since.

    >>> _until(4.04), _until(-4.04)
    ('in 4.0s', '4.0s ago')
    """
    return f"in {duration(seconds)}" if seconds >= 0 else f"{duration(-seconds)} ago"
