"""``hubq events --type``: a type that no event has is wrong usage, before Redis is asked."""

from __future__ import annotations

import pytest

from hubq.cli.main import USAGE, outcome


@pytest.mark.parametrize(
    ("kind", "said"), [("nope", "the types are child_killed, "), ("node_join", "did you mean 'node_joined'?")]
)
def test_a_type_that_no_event_has(capsys: pytest.CaptureFixture[str], kind: str, said: str) -> None:
    assert outcome(["events", "chat", "--type", kind]) == USAGE
    assert said in capsys.readouterr().err
