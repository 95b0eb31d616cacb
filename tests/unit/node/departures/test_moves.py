"""One thing at a time is done with a shard."""

from __future__ import annotations

import asyncio

import pytest

from hubq.node.departures.moves import InMotion, Moves
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


def test_groups_of_a_node_share_what_may_be_in_motion_and_each_may_move_one() -> None:
    async def scenario() -> None:
        node, go_on = InMotion(), asyncio.Event()
        one, other = (Moves(Background(), Bell(), node) for _ in range(2))
        assert one.limit(3) == other.limit(3) == 3
        tasks = [one.begin(a_holding(shard), go_on.wait(), "a move") for shard in range(3)]
        assert (one.limit(3), other.limit(3)) == (3, 1), "one whose primary is away holds up no other"
        tasks.append(other.begin(a_holding(9), go_on.wait(), "a move"))
        assert (one.limit(3), other.limit(3)) == (2, 1)
        go_on.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        await asyncio.sleep(0)
        assert one.limit(3) == other.limit(3) == 3

    asyncio.run(scenario())
