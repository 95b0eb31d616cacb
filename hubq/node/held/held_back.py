"""Why a child handles no message for now, though it runs: its first one waits for another try, or it goes to rest."""

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
    """Why a child is held back. It has nothing in hand, and may move. ``another_try`` None: it goes to rest."""

    another_try: AnotherTry | None


#: It goes to rest, or has gone (docs/dormant.md).
RESTS = HeldBack(None)
