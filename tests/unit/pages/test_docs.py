"""The state diagrams in docs/protocol.md are those of the tables."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).resolve().parents[3] / "docs"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_state_diagrams", DOCS / "make_state_diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_protocol_page_is_up_to_date(maker: ModuleType) -> None:
    assert maker.main(["--check"]) == 0


def test_an_old_page_is_found_out_and_rewritten(maker: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "protocol.md"
    old = f"Before ü.\n\n{maker.BEGIN}\nold\n{maker.END}\n\nAfter.\n"
    page.write_text(old, encoding="utf-8")
    assert maker.main(["--check"], page) == 1
    assert page.read_text(encoding="utf-8") == old
    assert maker.main([], page) == 0
    new = page.read_text(encoding="utf-8")
    assert new.startswith(f"Before ü.\n\n{maker.BEGIN}\n")
    assert new.endswith(f"\n{maker.END}\n\nAfter.\n")
    assert new.count("```mermaid\nstateDiagram-v2\n") == 3
    assert "old" not in new
    assert maker.main(["--check"], page) == 0


@pytest.mark.parametrize("text", ["", "{begin}", "{end}{begin}", "{begin}{end}{end}"])
def test_a_page_without_its_marks_is_refused(maker: ModuleType, tmp_path: Path, text: str) -> None:
    page = tmp_path / "protocol.md"
    page.write_text(text.format(begin=maker.BEGIN, end=maker.END), encoding="utf-8")
    with pytest.raises(SystemExit, match="once each"):
        maker.main([], page)


def test_an_unknown_argument_is_refused(maker: ModuleType) -> None:
    assert maker.main(["--chekc"]) == 2
