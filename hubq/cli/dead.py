"""``hubq dead``: messages that were deleted without having been handled, and children that took several workers down."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubq.cli.conversion import Command, Group
from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import print_json, print_table, say
from hubq.cli.reachable import of_those_that_answer
from hubq.core.shown import shown_lines
from hubq.errors import ConfigError, HubqError
from hubq.store import viewer
from hubq.store.dead_letters import DeadLetter

if TYPE_CHECKING:
    from hubq.client.hub import Hub

dead = typer.Typer(
    cls=Group,
    name="dead",
    help="Show, replay or drop messages that failed.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

Letter = Annotated[str, typer.Argument(metavar="LETTER", help="Its name, from `hubq dead list`.")]
Letters = Annotated[list[str] | None, typer.Argument(metavar="[LETTER]...", help="Their names, from `hubq dead list`.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters of the hub.")]
OfClass = Annotated[str | None, typer.Option("--class", help="Only those of children of this class.")]
OfWhy = Annotated[str | None, typer.Option("--why", help="Only those with this reason: raised, unknown-method, ...")]
OfChild = Annotated[str | None, typer.Option("--child", help="Only those of this child.")]


@dataclass(frozen=True)
class Filter:
    """Which letters are meant; None: any."""

    class_name: str | None
    why: str | None
    child: str | None

    def __bool__(self) -> bool:
        return self != Filter(None, None, None)

    def takes(self, letter: DeadLetter) -> bool:
        """Whether this letter is meant."""
        wanted = ((self.class_name, letter.class_name), (self.why, letter.why), (self.child, letter.child))
        return all(want is None or want == there for want, there in wanted)


@dead.command("list", cls=Command)
def list_command(
    hub: HubName, class_name: OfClass = None, why: OfWhy = None, child: OfChild = None, as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:  # fmt: skip
    """List the dead letters, oldest first."""
    meant = Filter(class_name, why, child)
    opened = open_hub(hub, redis)
    with of_those_that_answer(opened):
        letters = [letter for letter in opened.dead_letters() if meant.takes(letter)]
        if as_json:
            print_json([record(letter) for letter in letters])
            return
        print_table(
            ("letter", "child", "what", "why", "died"),
            [(letter.letter, letter.child, what(letter), letter.why, moment(letter.died)[5:19]) for letter in letters],
        )


@dead.command("show", cls=Command)
def show_command(hub: HubName, letter: Letter, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """Show one dead letter, with its arguments."""
    found = next((each for each in open_hub(hub, redis).dead_letters() if each.letter == letter), None)
    if found is None:
        raise HubqError(f"no dead letter {letter} in this hub: see `hubq dead list`")
    shown = {**record(found), "arguments": arguments(found)}
    if as_json:
        print_json(shown)
        return
    error = shown.pop("error")
    for name, value in shown.items():
        print(f"{name:<10} {shown_lines(str(value) if value != '' else '-', ' ' * 11)}")
    if error:
        print(f"error      {shown_lines(error, chr(32) * 11)}")


@dead.command("replay", cls=Command)
def replay_command(
    hub: HubName, letters: Letters = None, every: All = False, class_name: OfClass = None, why: OfWhy = None,
    child: OfChild = None, redis: RedisUrl = None,
) -> None:  # fmt: skip
    """Send dead letters again, each as a new message at the end of its mailbox. A parked child starts again."""
    opened, meant = open_hub(hub, redis), Filter(class_name, why, child)
    names, chose = chosen(letters, every, meant), opened.replay_dead
    for name in chose(names) if not meant else _each(opened, meant, chose):
        say(f"{name} sent again")


@dead.command("drop", cls=Command)
def drop_command(
    hub: HubName, letters: Letters = None, every: All = False, class_name: OfClass = None, why: OfWhy = None,
    child: OfChild = None, redis: RedisUrl = None,
) -> None:  # fmt: skip
    """Delete dead letters. A parked child stays parked."""
    opened, meant = open_hub(hub, redis), Filter(class_name, why, child)
    names, chose = chosen(letters, every, meant), opened.drop_dead
    for name in chose(names) if not meant else _each(opened, meant, chose):
        say(f"{name} dropped")


def _each(hub: Hub, meant: Filter, act: Callable[[list[str]], list[str]]) -> Iterator[str]:
    """Act on each letter that is meant; one that cannot be sent again stays, and is named."""
    for letter in hub.dead_letters():
        if meant.takes(letter):
            try:
                yield from act([letter.letter])
            except HubqError as error:
                say(f"{letter.letter} stays: {error}", sys.stderr)


def what(letter: DeadLetter) -> str:
    """What was to be run: class and method."""
    return f"{letter.class_name or '?'}.{letter.method}" if letter.method else letter.kind


def chosen(letters: list[str] | None, every: bool, meant: Filter) -> list[str] | None:
    """The named letters, or None for all. :class:`ConfigError` if not exactly one of names, ``--all`` and filters is given."""
    if [bool(letters), every, bool(meant)].count(True) != 1:
        raise ConfigError("give the letters' names, or --all, or some of --class, --why and --child")
    return None if every else letters


def record(letter: DeadLetter) -> dict[str, Any]:
    """A letter for people and JSON: times are text, the payload is its size."""
    flat = {**asdict(letter), "sent": moment(letter.sent), "died": moment(letter.died)}
    flat["deadline"] = moment(letter.deadline) if letter.deadline else ""
    flat["crashes"] = " ".join(letter.crashes)
    flat["payload"] = f"{len(letter.payload)} bytes"
    return flat


def arguments(letter: DeadLetter) -> str:
    """The arguments of the message, without running anything of it, or why they cannot be shown."""
    if not letter.payload:
        return ""
    try:
        return viewer.arguments(letter.payload)
    except ValueError as error:
        return f"cannot be shown ({error})"


def moment(ms: int) -> str:
    """A time of Redis as text.

    >>> moment(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
