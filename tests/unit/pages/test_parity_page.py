"""docs/parity.md: every test it names exists, and what is not shown yet can only become less."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "parity.md"

#: The rows without a test. Take yours out when its test is there; never put one in.
OPEN: set[str] = set()

FAMILIES = {"distribution", "redundancy", "synchronization", "partition tolerance"}


def rows() -> dict[str, str]:
    """What a row is about -> what it is shown by."""
    found: dict[str, str] = {}
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") else []
        if cells and cells[-1] != "shown by" and set(cells[0]) != {"-"}:
            about = cells[1] if cells[0] in FAMILIES else cells[0]
            found[about.strip("` ")] = cells[-1].rstrip(" |")
    return found


def defined_in(path: str) -> set[str]:
    file = ROOT / path
    if not file.exists():
        return set()
    return {node.name for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}


def test_every_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text("utf-8"))
    assert len(named) > 40
    assert [f"{path}::{test}" for path, test in named if test not in defined_in(path)] == []


def test_every_row_names_a_test_or_is_open() -> None:
    found = rows()
    assert len(found) >= 60
    assert [about for about, shown in found.items() if "::" not in shown and shown != "open"] == []


def test_open_rows_can_only_become_fewer() -> None:
    assert {about for about, shown in rows().items() if shown == "open"} == OPEN
