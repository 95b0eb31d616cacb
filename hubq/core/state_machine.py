"""A state machine is a table; an illegal move raises."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Generic, TypeVar


class Named(Enum):
    """A state or an event, hashed as an object: ``Enum`` has a hash in Python, and every child moves several times."""

    __hash__ = object.__hash__


S = TypeVar("S", bound=Named)
E = TypeVar("E", bound=Named)


class IllegalMove(Exception):
    """An event came in a state whose table has no row for it: a fault in hubq, never in the user's code."""


class Table(Generic[S, E]):
    """The rows ``(state, event) -> next state`` of one machine.

    >>> class Lamp(Named): OFF = "off"; ON = "on"
    >>> class Act(Named): PRESS = "press"
    >>> Table("lamp", {(Lamp.OFF, Act.PRESS): Lamp.ON}).next(Lamp.OFF, Act.PRESS)
    <Lamp.ON: 'on'>
    """

    def __init__(self, name: str, rows: Mapping[tuple[S, E], S]) -> None:
        self.name = name
        self.rows = dict(rows)

    def next(self, state: S, event: E) -> S:
        """The state after the event, or :class:`IllegalMove`."""
        try:
            return self.rows[state, event]
        except KeyError:
            raise IllegalMove(f"{self.name}: {event.value!r} cannot happen while {state.value!r}") from None

    def allows(self, state: S, event: E) -> bool:
        """Whether the table has a row for the event in this state."""
        return (state, event) in self.rows

    def diagram(self) -> str:
        """The table as a Mermaid state diagram, for the docs."""
        lines = ["stateDiagram-v2"]
        lines += [f"    {s.value} --> {after.value}: {e.value}" for (s, e), after in self.rows.items()]
        return "\n".join(lines)
