"""Turns: who waits, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from hubq.node.departures.turns import EMPTY, Turns
from tests.unit.node.jumping import run


def test_who_waits_goes_on_waiting_while_turns_are_given_back() -> None:
    async def scenario() -> None:
        turns, loop = Turns(1), asyncio.get_running_loop()
        assert await turns.take(0.05, 1.0)
        waits = [asyncio.create_task(turns.take(0.05, 1.0)) for _ in range(5)]
        for wait in waits:
            await asyncio.wait([wait], timeout=0.04)  # the one before it takes so long
            turns.give()
            assert await wait
        assert 0.2 <= loop.time() < 0.21, "the last one has waited longer than its patience"

    run(scenario())


def test_who_waits_for_one_that_is_slow_goes_without_a_turn() -> None:
    async def scenario() -> None:
        turns, loop = Turns(1), asyncio.get_running_loop()
        assert await turns.take(0.05, 1.0)
        waits = [asyncio.create_task(turns.take(0.05, 1.0)) for _ in range(3)]
        assert await asyncio.gather(*waits) == [False] * 3 and 0.05 <= loop.time() < 0.06
        turns.give()
        assert await turns.take(0.0, 0.0)

    run(scenario())


def test_nobody_waits_longer_than_the_most_though_turns_are_given_back() -> None:
    async def scenario() -> None:
        turns, loop = Turns(1), asyncio.get_running_loop()
        assert await turns.take(0.05, 0.1)
        waits = [asyncio.create_task(turns.take(0.05, 0.1)) for _ in range(5)]
        for wait in waits[:2]:
            await asyncio.wait([wait], timeout=0.04)
            turns.give()
            assert await wait
        assert await asyncio.gather(*waits[2:]) == [False] * 3 and 0.1 <= loop.time() < 0.11

    run(scenario())


async def nearly(turns: Turns, children: int, done_after: float) -> float:
    """For so long a turn is kept for what is done after so many seconds."""
    loop = asyncio.get_running_loop()
    began, done = loop.time(), loop.create_future()
    loop.call_later(done_after, done.set_result, None)
    await turns.nearly(done, children)
    took = loop.time() - began
    await done
    return took


def test_a_turn_ends_when_half_of_the_last_time_is_over() -> None:
    async def scenario() -> None:
        turns = Turns(1)
        kept = [await nearly(turns, 7, done_after) for done_after in (0.4, 0.4, 0.1, 0.6, 0.1)]
        assert kept == pytest.approx([0.4, 0.2, 0.1, 0.05, 0.1])

    run(scenario())


def test_what_has_more_children_keeps_its_turn_for_longer() -> None:
    async def scenario() -> None:
        turns = Turns(1)
        kept = [await nearly(turns, 0, 0.006), await nearly(turns, 10 * EMPTY, 0.06), await nearly(turns, 0, 0.006)]
        assert kept == pytest.approx([0.006, 0.033, 0.06 / 22])

    run(scenario())


def test_what_is_done_already_tells_nothing_of_the_time_that_it_takes() -> None:
    async def scenario() -> None:
        turns, loop = Turns(1), asyncio.get_running_loop()
        await nearly(turns, 7, 0.4)
        done = loop.create_future()
        done.set_result(None)
        await turns.nearly(done, 7)
        assert await nearly(turns, 7, 0.4) == pytest.approx(0.2)

    run(scenario())


def test_a_time_that_has_no_end_is_not_the_last_one() -> None:
    async def scenario() -> None:
        turns, loop = Turns(1), asyncio.get_running_loop()
        given_up, done = loop.create_future(), loop.create_future()
        loop.call_later(0.1, given_up.cancel)
        await turns.nearly(given_up, 7)
        loop.call_later(0.4, done.set_result, None)
        await turns.nearly(done, 7)
        assert 0.5 <= loop.time() < 0.51, "nothing is known yet: it is waited for"

    run(scenario())
