"""Numbers and lists in sentences for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def left_out(away: Mapping[int, object]) -> str:
    """Which groups are not in an answer, and why: a reason that several have is told once.

    >>> left_out({3: "no answer from b:6379", 1: "no answer from b:6379"})
    'groups 1, 3 do not answer and are left out: no answer from b:6379'
    >>> left_out({2: "no answer"})
    'group 2 does not answer and is left out: no answer'
    """
    numbers = ", ".join(map(str, sorted(away)))
    said = f"groups {numbers} do not answer and are" if len(away) > 1 else f"group {numbers} does not answer and is"
    return f"{said} left out: {'; '.join(dict.fromkeys(str(away[group]) for group in sorted(away)))}"
