"""pytest collects test modules outside packages by their bare name: two of the same name cannot be run together."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]


def test_every_test_file_is_in_a_package() -> None:
    assert len(list(TESTS.rglob("test_*.py"))) > 100
    outside = [str(file) for file in TESTS.rglob("test_*.py") if not (file.parent / "__init__.py").exists()]
    assert outside == []
