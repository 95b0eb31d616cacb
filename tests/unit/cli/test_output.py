"""What commands print, by its amount and kind."""

from __future__ import annotations

import io
import sys

import pytest

from hubq.cli import output
from hubq.cli.output import MOST_IN_A_TABLE, print_table


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def test_what_is_long_is_printed_plainly_on_a_terminal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of rich takes a minute for 100,000 rows."""
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.setattr(output, "_print_rich", lambda columns, rows: print(f"rich: {len(rows)}"))
    rows = [(f"c-{n}", n) for n in range(MOST_IN_A_TABLE + 1)]
    print_table(("child", "backlog"), rows[:-1])
    assert terminal.getvalue() == f"rich: {MOST_IN_A_TABLE}\n"
    print_table(("child", "backlog"), rows)
    _, header, *lines = terminal.getvalue().splitlines()
    assert header == "CHILD   BACKLOG"
    assert lines[-1] == "c-1000  1000" and len(lines) == len(rows)
