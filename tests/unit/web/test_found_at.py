"""The doctor's page leads an operator to the pages that show what was found."""

from __future__ import annotations

import re
from pathlib import Path

from hubq.web.view.pages import FOUND_AT, PAGES

CODE = "".join(path.read_text(encoding="utf-8") for path in (Path(__file__).parents[3] / "hubq").rglob("*.py"))
TOPICS = set(re.findall(r'Finding\(\s*"([^"]+)"', CODE))


def test_each_is_a_topic_and_leads_to_a_page() -> None:
    assert set(FOUND_AT) <= TOPICS
    assert {address.partition("?")[0] for address in FOUND_AT.values()} <= {page.path for page in PAGES}
