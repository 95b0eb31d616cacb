"""The drives, by the names of the scripts."""

from __future__ import annotations

from collections.abc import Callable

from .world import World

DRIVES: dict[str, Callable[[World], None]] = {}


def drive(act: Callable[[World], None]) -> Callable[[World], None]:
    """The function is named after the script that it drives."""
    DRIVES[act.__name__.removeprefix("drive_")] = act
    return act
