"""docs/architecture.md names what there is; every document that names a file of this repository names one that exists."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NODE_PACKAGES = sorted(path.parent.name for path in (ROOT / "hubq" / "node").glob("*/__init__.py"))

SPAN = re.compile(r"`([^`\n]+)`")
#: A file below the root or below hubq, as text names it: a path with a slash, or the name of a script.
PATH = re.compile(r"(?<![\w./-])(?:[\w-]+/)+[\w.-]+\.(?:py|lua)\b|\b_?[a-z]+(?:_[a-z]+)*\.lua\b")
FOLDER = re.compile(r"(?:[\w-]+/)+")


def exists(path: str) -> bool:
    return any((folder / path).exists() for folder in (ROOT, ROOT / "hubq", ROOT / "hubq" / "store" / "lua"))


def node_layers() -> list[str]:
    """The packages of a node as the contract of CI has them, highest first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (c for c in settings["tool"]["importlinter"]["contracts"] if c.get("containers") == ["hubq.node"])
    return [layer for layer in contract["layers"] if layer in NODE_PACKAGES]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_named_exists(document: Path) -> None:
    named = PATH.findall(document.read_text(encoding="utf-8"))
    assert [path for path in named if not exists(path)] == []


def test_every_file_and_folder_of_the_page_exists() -> None:
    spans = SPAN.findall(PAGE)
    files = [span for span in spans if span.endswith((".py", ".lua")) and " " not in span]
    folders = [span for span in spans if FOLDER.fullmatch(span)]
    assert len(set(files)) > 60
    assert len(folders) > 3
    assert [path for path in files + folders if not exists(path)] == []


def test_every_class_that_is_named_exists() -> None:
    named = {span for span in SPAN.findall(PAGE) if re.fullmatch(r"(?:[A-Z][a-z]+)+", span)} - {"Protocol"}
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "hubq").rglob("*.py"))
    assert {"Holding", "Voiding", "NoCopies"} <= named
    assert [name for name in sorted(named) if not re.search(rf"^class {name}\b", source, re.MULTILINE)] == []


def test_the_picture_has_every_package_of_a_node_in_the_order_of_the_contract() -> None:
    picture = PAGE.split("```mermaid")[1].split("```")[0]
    (chain,) = re.findall(r"^ +(\w+(?: --> \w+){3,})$", picture, re.MULTILINE)
    order = chain.split(" --> ")
    assert sorted(order) == NODE_PACKAGES
    assert order == node_layers()
    assert [name for name in order if f'{name}["{name}: ' not in picture] == []


def test_every_package_of_a_node_is_on_one_of_the_ways() -> None:
    ways = PAGE.split("## The way of a message")[1]
    assert [name for name in NODE_PACKAGES if f"`node/{name}/" not in ways] == []
