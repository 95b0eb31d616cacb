"""Text of others, made fit for a terminal and for a line of a log: what cannot be printed is shown, not sent."""

from __future__ import annotations

import json

from hubq.errors import HubqError


def shown(text: str) -> str:
    r"""The text on one line, each character that cannot be printed as Python writes it: no terminal acts on it.

    >>> shown("room-1"), shown("\x1b[2J"), shown("a\r\nb"), shown("\u202egnp.exe")
    ('room-1', '\\x1b[2J', 'a\\r\\nb', '\\u202egnp.exe')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shown_lines(text: str, indent: str = "") -> str:
    r"""Several lines, each as :func:`shown` has it; those after the first are indented.

    Only a line break that Python's own text output makes (``\n``) begins a new line.

    >>> shown_lines("raised\n2026-01-01 INFO forged\r", "    ")
    'raised\n    2026-01-01 INFO forged\\r'
    """
    return ("\n" + indent).join(map(shown, text.split("\n")))


def shown_json(text: str) -> str:
    r"""A JSON text with what cannot be printed inside its strings as JSON's own escapes: it says the same.

    >>> shown_json('{"a": "x\x9b2J"}')
    '{"a": "x\\u009b2J"}'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


#: Characters of the text of an exception at most, and of a traceback or a record of the log.
MOST_TEXT, MOST_LINES = 20_000, 100_000


def in_bounds(text: str, most: int = MOST_TEXT) -> str:
    """The text, without its middle if it is too long.

    >>> in_bounds("abc"), in_bounds("a" * 12 + "b" * 8, most=8)
    ('abc', 'aaaaaa [12 characters] bb')
    """
    if len(text) <= most:
        return text
    last = most // 4
    return f"{text[: most - last]} [{len(text) - most:,} characters] {text[-last:]}"


def text_of(error: BaseException) -> str:
    """The text of an exception, or that it has none that can be shown. (One that is very long is shortened.)"""
    try:
        return in_bounds(str(error) if isinstance(error, HubqError) else (str(error) or repr(error)))
    except BaseException as worse:
        return f"its text cannot be shown: {type(worse).__name__} in its __str__"
