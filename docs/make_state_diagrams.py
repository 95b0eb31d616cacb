"""Writes the state diagrams of the pages that have them from the tables in hubq.core.

python docs/make_state_diagrams.py           writes them
python docs/make_state_diagrams.py --check   changes nothing; exit 1 when a page is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parent
BEGIN = "<!-- state diagrams: begin -->"
END = "<!-- state diagrams: end -->"


def diagrams() -> dict[str, str]:
    """Page -> its diagrams, as they stand between the marks."""
    root = str(DOCS.parent)
    sys.path.insert(0, root)
    try:
        from hubq.core.handover import SOURCE, TARGET
        from hubq.core.lifecycle import LIFE
        from hubq.core.phase import PHASES
    finally:
        sys.path.remove(root)
    pages = {
        "protocol.md": {"The source:": SOURCE, "The target:": TARGET, "A child on one node:": LIFE},
        "architecture.md": {"The phases of a holding:": PHASES, "The life of a hosted child:": LIFE},
    }
    return {
        page: "\n\n".join(f"{title}\n\n```mermaid\n{table.diagram()}\n```" for title, table in tables.items())
        for page, tables in pages.items()
    }


def updated(name: str, text: str, between: str) -> str:
    """The page with the diagrams of today."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise SystemExit(f"{name} must have the lines {BEGIN!r} and {END!r} once each, in this order")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{between}\n\n{END}{after}"


def main(arguments: Sequence[str], folder: Path = DOCS) -> int:
    """Write the pages, or with ``--check`` look whether they are up to date."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    outdated = 0
    for name, between in diagrams().items():
        page = folder / name
        text = page.read_text(encoding="utf-8")
        new = updated(name, text, between)
        if new == text:
            continue
        if arguments:
            print(f"{page} is out of date: run python docs/make_state_diagrams.py")
            outdated = 1
        else:
            page.write_text(new, encoding="utf-8")
    return outdated


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
