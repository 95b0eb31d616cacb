"""Writes the state diagrams of docs/protocol.md from the tables in hubq.core.

python docs/make_state_diagrams.py           writes them
python docs/make_state_diagrams.py --check   changes nothing; exit 1 when the page is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "protocol.md"
BEGIN = "<!-- handover tables: begin -->"
END = "<!-- handover tables: end -->"


def diagrams() -> str:
    """The diagrams, as they stand between the markers."""
    sys.path.insert(0, str(ROOT))
    try:
        from hubq.core.handover import SOURCE, TARGET
        from hubq.core.lifecycle import LIFE
    finally:
        sys.path.remove(str(ROOT))
    titles = {"The source:": SOURCE, "The target:": TARGET, "A child on one node:": LIFE}
    blocks = [f"{title}\n\n```mermaid\n{table.diagram()}\n```" for title, table in titles.items()]
    return "\n\n".join(blocks)


def updated(text: str) -> str:
    """The page with the diagrams of today."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(END) < text.index(BEGIN):
        raise SystemExit(f"the page must have the lines {BEGIN!r} and {END!r} once each, in this order")
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    return f"{before}{BEGIN}\n\n{diagrams()}\n\n{END}{after}"


def main(arguments: Sequence[str], page: Path = PAGE) -> int:
    """Write the page, or with ``--check`` look whether it is up to date."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    text = page.read_text(encoding="utf-8")
    new = updated(text)
    if arguments and new != text:
        print(f"{page} is out of date: run python docs/make_state_diagrams.py")
        return 1
    if new != text:
        page.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
