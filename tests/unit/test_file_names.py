"""pytest collects test modules outside packages by their bare name: two of the same name cannot be run together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def test_no_two_test_files_have_the_same_name() -> None:
    names = Counter(path.name for path in Path(__file__).resolve().parents[1].rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []
