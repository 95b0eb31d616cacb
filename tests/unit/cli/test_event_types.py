"""``hubq events --type``: a type that no event has is wrong usage, before Redis is asked."""

from __future__ import annotations

import pytest

from hubq.cli.main import USAGE, outcome
from hubq.core.event_types import EVENT_TYPES


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("nope", "'nope'. The types: "),
        ("node_join", "did you mean 'node_joined'? The types: "),
        ("", "which type of events?"),
    ],
)
def test_a_type_that_no_event_has(capsys: pytest.CaptureFixture[str], kind: str, said: str) -> None:
    assert outcome(["events", "chat", "--type", *([kind] if kind else [])]) == USAGE
    told = capsys.readouterr().err
    assert said in told and all(name in told for name in EVENT_TYPES)
