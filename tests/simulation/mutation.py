"""What a mutation is: one thing that a guarantee rests on, and that is removed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A name in hubq that a mutation puts something else behind."""

    owner: Any
    attribute: str
    takes: str | None
    """The names of its parameters; None: it is no function."""


@dataclass(frozen=True)
class Mutation:
    """What is removed; ``script`` changes the text of the Lua scripts, ``broken`` makes what stands behind the target."""

    what: str
    script: Callable[[str], str] = lambda text: text
    broken: Callable[[Any], Any] | None = None
    features: bool = False
    """It is looked for in schedules with features; the others have none then, and are what they were before there were any."""
