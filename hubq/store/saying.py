"""What children say in a message beyond their state and reply: kinds of effects that a commit has once (docs/effects.md).

Each kind is a tuple of its own with a section of its own in the commit's script (``lua/_said.lua``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from hubq.store.command import Arg
from hubq.store.keys import Keys


class SayingLimits(NamedTuple):
    """What bounds the messages that a commit sends: those that wait for one child, and the dead letters of a shard."""

    max_backlog: int = 10_000
    dead_kept: int = 1_000


#: Those of a hub that says nothing about them.
USUAL = SayingLimits()


class Section(NamedTuple):
    """The part of a commit for one kind: the name under which ``_said.lua`` knows it, its keys, its arguments."""

    kind: str
    names: Sequence[str]
    args: Sequence[Arg]


class Saying(Protocol):
    """One thing that a child says: a message to another child, for example."""

    @property
    def sender(self) -> str:
        """The child that says it."""

    @property
    def size(self) -> int:
        """Bytes of its largest part."""

    @staticmethod
    def section(keys: Keys, shard: int, said: Any, limits: SayingLimits) -> Section:
        """The part of a commit that holds all sayings of this kind, in order. ``shard``: that of the children."""


def sections(keys: Keys, shard: int, said: Iterable[Saying], limits: SayingLimits) -> list[Section]:
    """What is said, kind by kind, each in the order in which it was said."""
    kinds: dict[type[Saying], list[Saying]] = {}
    for saying in said:
        kinds.setdefault(type(saying), []).append(saying)
    return [kind.section(keys, shard, of_kind, limits) for kind, of_kind in kinds.items()]
