"""docs/glossary.md: in order, with every phase and life; words that were given up do not come back into the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hubq.core.lifecycle import Life
from hubq.core.phase import Phase

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
TABLES = [
    re.findall(r"^\| (?!word \||---)([^|]+) \| ([^|]+) \|$", part, re.MULTILINE) for part in PAGE.split("\n## ")[1:]
]
MEANINGS = {word: meaning for table in TABLES for word, meaning in table}

#: Names of parts that a node does not have any more.
GIVEN_UP = re.compile(r"\b(?:supervisor|dispatcher|coordinator|cells?)\b", re.IGNORECASE)


@pytest.mark.parametrize("table", TABLES)
def test_words_are_in_order_and_defined_once(table: list[tuple[str, str]]) -> None:
    words = [word.strip("`").lower() for word, _ in table]
    assert len(words) > 30
    assert words == sorted(words)
    assert len(MEANINGS) == sum(map(len, TABLES))


@pytest.mark.parametrize("phase", Phase)
def test_every_phase_is_defined(phase: Phase) -> None:
    assert f"**{phase.value.capitalize()}**" in MEANINGS["phase"]


@pytest.mark.parametrize("life", Life)
def test_every_life_is_named(life: Life) -> None:
    assert life.value in MEANINGS["life"]


def test_words_that_were_given_up_are_not_in_the_code_of_a_node() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / "hubq" / "node").rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if GIVEN_UP.search(line)
    ]
    assert found == []
