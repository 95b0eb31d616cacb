"""Values of the command line are what typer would make of them, and its words are used for what is wrong."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import pytest
import typer
import typer.main
from typer.core import TyperCommand

from hubq.cli.conversion import Command


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def made(kind: type[TyperCommand], arguments: list[str]) -> tuple[Any, ...] | str:
    """What the function of a command is given, with the type of each value; or what typer says."""
    got: list[Any] = []
    app = typer.Typer(add_completion=False)

    @app.command("paint", cls=kind)
    def paint(
        what: str,
        times: Annotated[int, typer.Option("-n", min=1, max=9)] = 1,
        share: Annotated[float, typer.Option(min=0.0)] = 0.5,
        colour: Colour = Colour.RED,
        tags: Annotated[list[str] | None, typer.Option("--tag")] = None,
        twice: Annotated[bool, typer.Option("--twice")] = False,
        over: int | None = None,
    ) -> None:
        got.extend([what, times, share, colour, tags, twice, over])

    try:
        app(arguments, standalone_mode=False)
    except typer.BadParameter.__mro__[1] as error:
        return str(getattr(error, "format_message", error.__str__)())
    return tuple((type(value), value) for value in got)


@pytest.mark.parametrize(
    "words",
    [
        "door", "door -n 3", "door -n 9", "door -n 0", "door -n 10", "door -n three", "door -n -1", "door -n +3", "door -n 1_0",
        "door -n ٣", "door -n 3.0", "door -n 99999999999999999999999", "door --share 2", "door --share x", "door --share -1", 
        "door --colour blue",
        "door --colour BLUE", "door --colour grey", "door --tag a --tag b=c", "door --twice", "door --over 007", "", "door wall",
        "däör", "--colour", "door --over",
    ],
)  # fmt: skip
def test_a_value_is_what_typer_makes_of_it(words: str) -> None:
    assert made(Command, words.split()) == made(TyperCommand, words.split())


@pytest.mark.parametrize("word", ["", "a\udcffb", "a\nb", "a\0b", " ", "\u202e"])
def test_an_odd_text_is_what_typer_makes_of_it(word: str) -> None:
    for arguments in ([word], ["door", "--tag", word], ["door", "--colour", word]):
        assert made(Command, arguments) == made(TyperCommand, arguments)
