"""What users' code has raised, as text, whatever it is."""

from __future__ import annotations

import traceback
from typing import NamedTuple

from hubq.core.shown import MOST_LINES, in_bounds, text_of


class Raised(NamedTuple):
    """An exception as its caller gets it: the name of its class, its text, its traceback."""

    kind: str
    text: str
    trace: str

    @classmethod
    def of(cls, error: BaseException) -> Raised:
        """Describe an exception. Its own ``__str__`` and ``__repr__`` may raise.

        >>> Raised.of(KeyError("x"))[:2], Raised.of(ValueError())[:2]
        (('KeyError', "'x'"), ('ValueError', 'ValueError()'))
        """
        return cls(type(error).__name__, text_of(error), trace_of(error))


def trace_of(error: BaseException) -> str:
    """The traceback of an exception as text. (One that is very long is shortened.)"""
    try:
        return in_bounds("".join(traceback.format_exception(error)), MOST_LINES)
    except BaseException as worse:
        return f"{type(error).__name__}: its traceback cannot be shown: {type(worse).__name__}"


def in_short(error: BaseException) -> str:
    """The exception in one line: its class and its text.

    >>> in_short(ValueError("spoilt"))
    'ValueError: spoilt'
    """
    return f"{type(error).__name__}: {text_of(error)}"
