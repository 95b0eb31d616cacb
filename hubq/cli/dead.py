"""``hubq dead``: messages, and children, that took several workers down."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import print_json, print_table
from hubq.errors import ConfigError, HubqError
from hubq.store.codec import decode
from hubq.store.dead_letters import DeadLetter

dead = typer.Typer(
    name="dead", help="Show, replay or drop messages that took their workers down.", no_args_is_help=True
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
        print(f"{name:<10} {value if value != '' else '-'}")


@dead.command("replay")
def replay_command(hub: HubName, letters: Letters = None, every: All = False, redis: RedisUrl = None) -> None:
    """Send dead letters again, each as a new message at the end of its mailbox. A parked child starts again."""
    for name in open_hub(hub, redis).replay_dead(chosen(letters, every)):
        print(f"{name} sent again")


@dead.command("drop")
def drop_command(hub: HubName, letters: Letters = None, every: All = False, redis: RedisUrl = None) -> None:
    """Delete dead letters. A parked child stays parked."""
    for name in open_hub(hub, redis).drop_dead(chosen(letters, every)):
        print(f"{name} dropped")


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
    """The arguments of the message, or why they cannot be read in this process."""
    if not letter.payload:
        return ""
    try:
        args, kwargs = decode(letter.payload)
    except Exception as error:
        return f"cannot be read here ({type(error).__name__}: {error})"
    return ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])


def moment(ms: int) -> str:
    """A time of Redis as text.

    >>> moment(0)
    '1970-01-01T00:00:00+00:00'
    """
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")
