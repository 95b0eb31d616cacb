"""Numbers and lists in sentences for people."""

from __future__ import annotations

from collections.abc import Iterable

#: Names shown before "and n more".
SHOWN = 3


def names(them: Iterable[object]) -> str:
    """The first few, and how many more.

    >>> names("abcde")
    'a, b, c and 2 more'
    """
    every = [str(each) for each in them]
    more = len(every) - SHOWN
    return ", ".join(every[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, one: str, many: str) -> str:
    """A number with its noun.

    >>> counted(1, "child", "children"), counted(2, "child", "children")
    ('1 child', '2 children')
    """
    return f"{number} {one if number == 1 else many}"
