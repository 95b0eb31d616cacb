"""``hubq pause``, ``resume`` and ``pauses``: have children wait with their messages."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import typer

from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import duration, print_records, print_table, say
from hubq.cli.reachable import of_those_that_answer
from hubq.client.operations import pausing
from hubq.config import CHANGE_TIMEOUT
from hubq.core.classes import OWN
from hubq.core.pauses import Pause
from hubq.errors import ConfigError, HubqError

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: So many children are looked at for one of a class. (In a larger hub a name that is mistyped may go unnoticed.)
MOST_LOOKED_AT = 20_000

Kind = Annotated[str | None, typer.Option("--class", metavar="CLASS", help="Only children of this class.")]
Child = Annotated[str | None, typer.Option("--child", metavar="CHILD", help="Only this child.")]


def pause_command(
    hub: HubName,
    kind: Kind = None,
    child: Child = None,
    why: Annotated[str, typer.Option(help="The reason, for those who look.")] = "",
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds to wait until every worker heeds it.")
    ] = CHANGE_TIMEOUT,
    redis: RedisUrl = None,
) -> None:
    """Have all children of a hub, those of a class, or one of them begin no further message. Their messages wait."""
    meant = _meant(kind, child, why)
    opened = open_hub(hub, redis)
    begun = opened.driver.drive(pausing.pause(opened.driver.context, meant, timeout))
    say(str(meant) if begun else f"{replace(meant, why='')} already")
    if kind is not None and (doubt := _doubt(opened, kind, hub)):
        say(doubt, sys.stderr)


def resume_command(hub: HubName, kind: Kind = None, child: Child = None, redis: RedisUrl = None) -> None:
    """End a pause: the messages that wait are handled. Give what was paused."""
    meant = _meant(kind, child)
    opened = open_hub(hub, redis)
    ended = opened.driver.drive(pausing.resume(opened.driver.context, meant))
    left = opened.driver.drive(pausing.pauses(opened.driver.context))
    if not ended:
        there = f": {'; '.join(map(str, left))}" if left else ": nothing is"
        raise HubqError(f"{_who(meant)} is not paused{there}")
    say(f"{_who(meant)} goes on")
    for each in left:
        say(f"still: {each}", sys.stderr)


def pauses_command(hub: HubName, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """List what is paused, since when, and why."""
    opened = open_hub(hub, redis)
    with of_those_that_answer(opened):
        found = opened.driver.drive(pausing.pauses(opened.driver.context))
        if as_json:
            print_records(found)
            return
        now = time.time()
        rows = [(each.what, each.name or "-", duration(max(0.0, now - each.since)), each.why or "-") for each in found]
        print_table(("what", "name", "for", "why"), rows)


def _meant(kind: str | None, child: str | None, why: str = "") -> Pause:
    if kind is not None and child is not None:
        raise ConfigError("give --class or --child, not both")
    if kind == "":
        raise ConfigError("--class is empty: give the name of a class, as `hubq ps` shows it")
    meant = pausing.pause_of(None, child, why)
    return meant if kind is None else Pause("class", kind, why=why)


def _doubt(opened: Hub, kind: str, hub: str) -> str:
    """What to say of a class that nobody here knows; empty: it is known. The pause stands: a class may have no child yet."""
    known = {*opened.classes.registered, *(name for name, _ in OWN)}
    if kind in known:
        return ""
    for status in (None, "dormant"):
        for number, child in enumerate(opened.iter_children(status=status), 1):
            known.add(child.kind)
            if kind in known or number >= MOST_LOOKED_AT:
                return ""
    near = get_close_matches(kind, known, 1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    return (
        f"no child of class {kind} is there now{meant}: the pause is for those that start later; "
        f"`hubq resume {hub} --class {kind}` ends it"
    )


def _who(meant: Pause) -> str:
    return f"{meant.what} {meant.name}" if meant.name else "the hub"
