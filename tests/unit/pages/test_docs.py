"""The state diagrams of the docs are those of the tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = ("protocol.md", "architecture.md")


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_state_diagrams", DOCS / "make_state_diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pages_are_up_to_date(maker: ModuleType) -> None:
    assert maker.main(["--check"]) == 0


def test_old_pages_are_found_out_and_rewritten(maker: ModuleType, tmp_path: Path) -> None:
    old = f"Before ü.\n\n{maker.BEGIN}\nold\n{maker.END}\n\nAfter.\n"
    for name in PAGES:
        (tmp_path / name).write_text(old, encoding="utf-8")
    assert maker.main(["--check"], tmp_path) == 1
    assert all((tmp_path / name).read_text(encoding="utf-8") == old for name in PAGES)
    assert maker.main([], tmp_path) == 0
    for name, count in zip(PAGES, (3, 2), strict=True):
        new = (tmp_path / name).read_text(encoding="utf-8")
        assert new.startswith(f"Before ü.\n\n{maker.BEGIN}\n")
        assert new.endswith(f"\n{maker.END}\n\nAfter.\n")
        assert new.count("```mermaid\nstateDiagram-v2\n") == count
        assert "\nold\n" not in new
    assert maker.main(["--check"], tmp_path) == 0


def test_one_old_page_is_enough_to_fail(maker: ModuleType, tmp_path: Path) -> None:
    for name in PAGES:
        (tmp_path / name).write_text((DOCS / name).read_text(encoding="utf-8"), encoding="utf-8")
    assert maker.main(["--check"], tmp_path) == 0
    page = tmp_path / "architecture.md"
    page.write_text(page.read_text(encoding="utf-8").replace("coming --> open", "coming --> closed"), encoding="utf-8")
    assert maker.main(["--check"], tmp_path) == 1


@pytest.mark.parametrize("text", ["", "{begin}", "{end}{begin}", "{begin}{end}{end}"])
def test_a_page_without_its_marks_is_refused(maker: ModuleType, tmp_path: Path, text: str) -> None:
    for name in PAGES:
        (tmp_path / name).write_text(text.format(begin=maker.BEGIN, end=maker.END), encoding="utf-8")
    with pytest.raises(SystemExit, match="once each"):
        maker.main([], tmp_path)


def test_an_unknown_argument_is_refused(maker: ModuleType) -> None:
    assert maker.main(["--chekc"]) == 2
