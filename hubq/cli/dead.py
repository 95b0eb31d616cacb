"""``hubq dead``: messages, and children, that took several workers down."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import print_json, print_table, say
from hubq.core.shown import shown_lines
from hubq.errors import ConfigError, HubqError
from hubq.store.dead_letters import DeadLetter
from hubq.store.viewer import Seen, fields_of, look, words

dead = typer.Typer(
    name="dead",
    help="Show, replay or drop messages that took their workers down.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)

Letter = Annotated[str, typer.Argument(metavar="LETTER", help="Its name, from `hubq dead list`.")]
Letters = Annotated[list[str] | None, typer.Argument(metavar="[LETTER]...", help="Their names, from `hubq dead list`.")]
All = Annotated[bool, typer.Option("--all", help="All dead letters of the hub.")]


@dead.command("list")
def list_command(hub: HubName, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """List the dead letters, oldest first."""
    letters = open_hub(hub, redis).dead_letters()
    if as_json:
        print_json([record(letter) for letter in letters])
        return
    print_table(
        ("letter", "child", "class", "what", "tries", "workers", "died"),
        [
            (
                letter.letter, letter.child, letter.class_name or "-", letter.method or letter.kind, letter.tries,
                " ".join(letter.crashes), moment(letter.died),
            )
            for letter in letters
        ],
    )  # fmt: skip


@dead.command("show")
def show_command(hub: HubName, letter: Letter, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """Show one dead letter, with its arguments."""
    found = next((each for each in open_hub(hub, redis).dead_letters() if each.letter == letter), None)
    if found is None:
        raise HubqError(f"no dead letter {letter} in this hub: see `hubq dead list`")
    shown = {**record(found), "arguments": arguments(found)}
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        print(f"{name:<10} {shown_lines(str(value) if value != '' else '-', ' ' * 11)}")


@dead.command("replay")
def replay_command(hub: HubName, letters: Letters = None, every: All = False, redis: RedisUrl = None) -> None:
    """Send dead letters again, each as a new message at the end of its mailbox. A parked child starts again."""
    for name in open_hub(hub, redis).replay_dead(chosen(letters, every)):
        say(f"{name} sent again")


@dead.command("drop")
def drop_command(hub: HubName, letters: Letters = None, every: All = False, redis: RedisUrl = None) -> None:
    """Delete dead letters. A parked child stays parked."""
    for name in open_hub(hub, redis).drop_dead(chosen(letters, every)):
        say(f"{name} dropped")


def chosen(letters: list[str] | None, every: bool) -> list[str] | None:
    """The named letters, or None for all. :class:`ConfigError` if neither names nor ``--all`` are given, or both."""
    if bool(letters) == every:
        raise ConfigError("give the letters' names, or --all")
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
        seen = look(letter.payload)
    except ValueError as error:
        return f"cannot be shown ({error})"
    if not isinstance(seen, Seen) or len(seen.items) != 2 or not isinstance(seen.items[0], Seen):
        return words(seen)
    args, kwargs = seen.items
    return ", ".join([*map(words, args.items), *(f"{name}={words(value)}" for name, value in fields_of(kwargs) or ())])


def moment(ms: int) -> str:
    """A time of Redis as text.

    >>> moment(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
