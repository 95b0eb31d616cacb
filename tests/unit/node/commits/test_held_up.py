"""A holding whose commit Redis refuses for one of its keys: what is due of it waits, and begins again when the commit is taken."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hubq.core.phase import Phase
from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.commits.held_up import HeldUp, is_of_one_key
from tests.unit.node.fakes import FakeReports, a_child, a_holding
from tests.unit.node.movers import Pumps


def test_messages_that_have_come_meanwhile_begin_when_the_commit_is_taken() -> None:
    holding, pumps, reports = a_holding(), Pumps(), FakeReports()
    for child in ("room-1", "room-2"):
        a_child(holding, child)
    held_up = HeldUp(cast(Any, reports), cast(Any, pumps))
    held_up.begin(holding, RedisRefused("WRONGTYPE: a key"))
    assert holding.phase is Phase.CLOSED and not holding.is_due and pumps.resumed == []
    assert [told.place for told in reports.told] == [f"shard {holding.shard}"]
    held_up.end(holding)
    assert holding.phase is Phase.OPEN and sorted(pumps.resumed) == ["room-1", "room-2"]


@pytest.mark.parametrize(
    ("said", "of_one"),
    [
        ("WRONGTYPE Operation against a key holding the wrong kind of value", True),
        ("user_script:75: attempt to compare nil with number script: f00, on @user_script:75.", True),
        ("The stream has exhausted the last possible ID, unable to add more items", True),
        ("OOM command not allowed when used memory > 'maxmemory'.", False),
        ("READONLY You can't write against a read only replica.", False),
        ("NOREPLICAS Not enough good replicas to write. script: f00, on @user_script:5.", False),
    ],
)
def test_only_a_refusal_for_one_key_lets_the_others_go_on(said: str, of_one: bool) -> None:
    assert is_of_one_key(RedisRefused(said)) is of_one
    assert not is_of_one_key(RedisUnavailable(said))
