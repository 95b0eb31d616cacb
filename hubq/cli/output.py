"""Output of the commands: a table on a terminal, aligned text in a pipe, JSON with ``--json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TextIO

from hubq.core.shown import shown, shown_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


#: The most rows that rich sets in a table; more are printed as plain text. (100,000 rows take rich over a minute.)
MOST_IN_A_TABLE = 1000


def print_json(value: Any) -> None:
    """Print indented JSON. A value that JSON does not know is printed as text."""
    print(shown_json(json.dumps(value, indent=2, ensure_ascii=False, default=str, allow_nan=False)))


def json_line(value: Any) -> str:
    """The value as JSON on one line; a terminal acts on nothing in it."""
    return shown_json(json.dumps(value, ensure_ascii=False, allow_nan=False))


def say(text: str, file: TextIO | None = None) -> None:
    """Print one line. Whatever in it comes from others is shown, never sent to the terminal."""
    print(shown(text), file=file, flush=True)


def print_records(records: Sequence[DataclassInstance]) -> None:
    """Print dataclasses as a JSON list of objects."""
    print_json([asdict(record) for record in records])


def print_value(value: Any) -> None:
    """Print a result: as JSON if possible, else as its ``repr``."""
    try:
        print(json_line(value))
    except (TypeError, ValueError, RecursionError):
        say(repr(value))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under column names. Cells are printed literally, never as markup or escapes."""
    cells = [[shown(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty() and len(cells) <= MOST_IN_A_TABLE:
        _print_rich(columns, cells)
        return
    widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
    for row in [[name.upper() for name in columns], *cells]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(columns):
        numeric = bool(rows) and all(row[number].isdigit() for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def duration(seconds: float) -> str:
    """A time span as text.

    >>> duration(4.04), duration(75), duration(7500), duration(200000)
    ('4.0s', '1m15s', '2h05m', '2d07h')
    """
    if seconds < 60:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for unit, size, lower_unit, lower in (("d", 86400, "h", 3600), ("h", 3600, "m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // lower:02d}{lower_unit}"
    return f"{whole // 60}m{whole % 60:02d}s"
