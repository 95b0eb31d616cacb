"""The table type itself."""

from __future__ import annotations

from enum import Enum

import pytest

from hubq.core.state_machine import IllegalMove, Table


class Door(Enum):
    OPEN = "open"
    SHUT = "shut"
    LOCKED = "locked"


class Act(Enum):
    PUSH = "push"
    PULL = "pull"
    TURN = "turn the key"


ROWS = {
    (Door.OPEN, Act.PUSH): Door.SHUT,
    (Door.SHUT, Act.PULL): Door.OPEN,
    (Door.SHUT, Act.TURN): Door.LOCKED,
    (Door.LOCKED, Act.TURN): Door.SHUT,
}
DOOR = Table("door", ROWS)


@pytest.mark.parametrize("state", Door)
@pytest.mark.parametrize("event", Act)
def test_rows_are_all_there_is(state: Door, event: Act) -> None:
    if (state, event) in ROWS:
        assert DOOR.allows(state, event)
        assert DOOR.next(state, event) is ROWS[state, event]
    else:
        assert not DOOR.allows(state, event)
        with pytest.raises(IllegalMove):
            DOOR.next(state, event)


def test_illegal_move_says_which_machine_state_and_event() -> None:
    with pytest.raises(IllegalMove, match=r"^door: 'turn the key' cannot happen while 'open'$") as caught:
        DOOR.next(Door.OPEN, Act.TURN)
    assert caught.value.__suppress_context__  # the KeyError says nothing more


def test_table_keeps_its_own_rows() -> None:
    rows = dict(ROWS)
    table = Table("door", rows)
    rows.clear()
    assert table.next(Door.OPEN, Act.PUSH) is Door.SHUT


def test_diagram_has_one_arrow_per_row() -> None:
    assert DOOR.diagram().splitlines() == [
        "stateDiagram-v2",
        "    open --> shut: push",
        "    shut --> open: pull",
        "    shut --> locked: turn the key",
        "    locked --> shut: turn the key",
    ]
