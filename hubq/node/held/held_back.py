"""Why a child handles no message for now, though it runs: its first one waits for another try, it is paused, or it goes to rest."""

from __future__ import annotations

from typing import NamedTuple


class Tried(NamedTuple):
    """How often the first message of a child has been tried here. (Another message begins to count anew.)"""

    entry: bytes
    times: int


class AnotherTry(NamedTuple):
    """The first message of a child waits for another try. ``error``: what the last one has raised, in short."""

    tried: Tried
    error: str


class HeldBack(NamedTuple):
    """Why a child is held back: one of the two, or both. It has nothing in hand, or will have nothing more, and may move.

    ``paused``: what is paused, in words.
    """

    another_try: AnotherTry | None = None
    paused: str = ""


#: It goes to rest, or has gone (docs/dormant.md).
RESTS = HeldBack()
