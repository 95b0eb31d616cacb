"""Which children are paused: all of a hub, those of a class, or single ones (docs/guide-pause.md)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause. ``what``: "hub", "class" or "child"; ``name``: of the class or child (empty: the whole hub); ``since`` when it began,
    seconds since 1970; ``why``: as it was given.

    >>> print(Pause("class", "Room", 0.0, "a migration")), Pause.of("child room-1", "1500 ").name
    class Room is paused (a migration)
    (None, 'room-1')
    """

    what: str
    name: str = ""
    since: float = 0.0
    why: str = ""

    @property
    def field(self) -> str:
        """The field of ``pauses`` in Redis."""
        return f"{self.what} {self.name}" if self.name else self.what

    @classmethod
    def of(cls, field: str, line: str) -> Pause:
        """A field and its value, ``since-in-ms why``. Raises ``ValueError``: it is no pause."""
        what, _, name = field.partition(" ")
        since, _, why = line.partition(" ")
        match what:
            case "hub" if not name:
                return cls("hub", "", int(since) / 1000, why)
            case "class" | "child" if name:
                return cls(what, name, int(since) / 1000, why)
        raise ValueError("it is none of hub, class NAME, child ID")

    def __str__(self) -> str:
        who = f"{self.what} {self.name}" if self.name else "the hub"
        return f"{who} is paused" + (f" ({self.why})" if self.why else "")


class Pauses:
    """All pauses of a hub.

    >>> pauses = Pauses([Pause("class", "Room"), Pause("child", "desk-1")])
    >>> pauses.of("room-1", "Room").field, pauses.of("desk-1", "Desk").field, pauses.of("desk-2", "Desk")
    ('class Room', 'child desk-1', None)
    >>> bool(Pauses())
    False
    """

    def __init__(self, pauses: Iterable[Pause] = ()) -> None:
        self._by_field = {pause.field: pause for pause in pauses}

    def __bool__(self) -> bool:
        return bool(self._by_field)

    def all(self) -> list[Pause]:
        """The widest first, then by name."""
        order = ("hub", "class", "child")
        return sorted(self._by_field.values(), key=lambda pause: (order.index(pause.what), pause.name))

    def of(self, child_id: str, kind: str) -> Pause | None:
        """The widest pause of a child of this class; None: it is not paused."""
        for pause in (Pause("hub"), Pause("class", kind), Pause("child", child_id)):
            found = self._by_field.get(pause.field)
            if found is not None:
                return found
        return None
