"""The types of events are public: ``--type`` knows those that are written, and the guide has them in a table."""

from __future__ import annotations

import re
from pathlib import Path

from hubq.core.event_types import EVENT_TYPES

ROOT = Path(__file__).resolve().parents[3]
WRITTEN = re.compile(r"""(?:events\.add|_event)\(\s*["'](\w+)|["']type["'], *["'](\w+)["']""")


def test_every_event_that_is_written_has_a_known_type() -> None:
    found = {
        next(filter(None, match.groups()))
        for path in (ROOT / "hubq").rglob("*.*")
        if path.suffix in (".py", ".lua")
        for match in WRITTEN.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == set(EVENT_TYPES), "hubq/core/event_types.py has a line for each type, and only for those"


def test_the_guide_has_the_same_table() -> None:
    page = (ROOT / "docs" / "guide-operating.md").read_text(encoding="utf-8")
    table = page.partition("| type | what has happened |")[2].partition("\n\n")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)) == EVENT_TYPES
