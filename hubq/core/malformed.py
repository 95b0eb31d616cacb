"""Input that hubq did not write, or that was changed since: it is refused by itself, and what stands around it goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

#: The longest ``why``, characters.
MOST_WHY = 300


@dataclass(frozen=True, slots=True)
class Malformed:
    """One thing that could not be read: where it stands (a key, and the field or entry), and what is wrong with it.

    >>> Malformed.of("field 'x' of hubq:{chat}:owners", ValueError("not enough values to unpack"))
    Malformed(place="field 'x' of hubq:{chat}:owners", why='ValueError: not enough values to unpack')
    """

    place: str
    why: str

    @classmethod
    def of(cls, place: str, error: Exception) -> Malformed:
        """What the error of a parser says."""
        return cls(place, reason(error))


def reason(error: Exception) -> str:
    """An error as one line of bounded length.

    >>> reason(ValueError("a\\nb"))
    'ValueError: a b'
    """
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text.encode("utf-8", "backslashreplace").decode()[:MOST_WHY]


class Table(dict[K, V]):
    """What could be read of a hash, and what could not.

    >>> Table({"a": 1}, [Malformed("field 'b'", "no number")]).malformed[0].why
    'no number'
    """

    __slots__ = ("malformed",)

    def __init__(self, values: Iterable[tuple[K, V]] | dict[K, V] = (), malformed: Iterable[Malformed] = ()) -> None:
        super().__init__(values)
        self.malformed = tuple(malformed)


def whole_number(data: bytes | str | int | None) -> int:
    """A number that stands in Redis as text; 0 for none, and for what is none.

    >>> whole_number(b"7"), whole_number(None), whole_number(b"soon"), whole_number(b"9" * 30)
    (7, 0, 0, 0)
    """
    try:
        number = int(data or 0)
    except ValueError:
        return 0
    return number if -(1 << 63) <= number < 1 << 63 else 0
