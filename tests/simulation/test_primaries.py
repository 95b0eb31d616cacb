"""Primaries that fail: what the end of a schedule waits for."""

from __future__ import annotations

import asyncio

from tests.simulation.groups import WENT_BACK
from tests.simulation.world import World


def test_a_schedule_is_not_judged_before_a_replica_that_lacks_something_has_taken_over() -> None:
    world = World(2_001_121)
    primaries = world.primaries
    assert primaries.settled

    async def scenario() -> None:
        assert primaries.hit(WENT_BACK) and not primaries.down
        assert not primaries.settled, "its data is that of now, and will not be"
        await asyncio.sleep(world.groups.lag + 0.01)
        assert sum(world.groups.went_back.values()) and primaries.down
        await asyncio.sleep(10.0)
        assert primaries.settled

    world.loop.run(scenario())
