"""One thing at a time is done with a shard."""

from __future__ import annotations

import asyncio

import pytest

from hubq.node.departures.moves import Moves
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from tests.unit.node.fakes import a_holding


@pytest.mark.parametrize("fails", [False, True])
def test_a_shard_is_in_motion_until_its_move_has_ended_and_then_the_plan_is_due(fails: bool) -> None:
    async def scenario() -> None:
        plan_due, go_on = Bell(), asyncio.Event()
        moves = Moves(Background(), plan_due)
        holding = a_holding(5)

        async def work() -> str:
            await go_on.wait()
            if fails:
                raise RuntimeError("meant")
            return "done"

        task = moves.begin(holding, work(), "a move")
        assert holding.in_motion and list(moves.moving) == [5] and moves.moving[5] is task
        rest = asyncio.ensure_future(holding.is_at_rest())
        go_on.set()
        assert await asyncio.wait_for(task, 5) == (None if fails else "done")
        assert await asyncio.wait_for(rest, 5) and not moves.moving
        assert await plan_due.heard(within=5)

    asyncio.run(scenario())
