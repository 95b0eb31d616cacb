"""Which holdings have something to commit."""

from __future__ import annotations

import asyncio

from hubq.node.held.commit_queue import CommitQueue
from hubq.node.held.holding import Holding
from tests.unit.node.fakes import a_holding, a_register


def a_queue(*holdings: Holding) -> CommitQueue:
    """A queue that has looked at all of them once."""
    register = a_register()
    for holding in holdings:
        register.hold(holding)
    queue = CommitQueue(register)
    queue.take()
    return queue


def finish(holding: Holding) -> None:
    holding.effects.done["room-1"] = [b"5-0"]


def test_those_that_were_touched_are_taken_in_their_order() -> None:
    first, second, third = (a_holding(shard) for shard in range(3))
    queue = a_queue(first, second, third)
    for holding in (first, second, third):
        finish(holding)
    for holding in (third, first, third):
        queue.touched(holding)
    assert queue.take() == [third, first]
    assert queue.take() == []  # a mark is taken once


def test_a_change_somewhere_makes_it_look_at_all() -> None:
    first, second, idle, frozen = (a_holding(shard) for shard in range(4))
    queue = a_queue(first, second, idle, frozen)
    for holding in (first, second, frozen):
        finish(holding)
    frozen.freeze()
    queue.touched(second)
    queue.changed()
    assert queue.take() == [first, second]


def test_the_first_look_is_at_all() -> None:
    holding = a_holding()
    finish(holding)
    register = a_register()
    register.hold(holding)
    assert CommitQueue(register).take() == [holding]


def test_who_waits_hears_of_a_change_at_once_and_of_a_touch_when_it_is_due() -> None:
    async def scenario() -> None:
        holding = a_holding()
        queue = a_queue(holding)
        queue.due()  # nothing was touched
        wait = asyncio.create_task(queue.waits())
        for touched in ([], [holding]):
            for each in touched:
                queue.touched(each)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert not wait.done()
        queue.due()
        await asyncio.wait_for(wait, 5)
        queue.changed()
        queue.changed()
        await asyncio.wait_for(queue.waits(), 5)
        wait = asyncio.create_task(queue.waits())
        await asyncio.sleep(0)
        assert not wait.done()  # two changes were one
        wait.cancel()

    asyncio.run(scenario())
