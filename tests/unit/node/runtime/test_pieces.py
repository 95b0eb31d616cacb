"""Long work in pieces, and one answer for many."""

from __future__ import annotations

import asyncio

import pytest

from hubq.node.runtime.pieces import PIECE, Pieces
from hubq.node.runtime.shared import Shared
from tests.unit.node.fakes import Clock


class Turns:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0
        self._turn()

    def _turn(self) -> None:
        self.count += 1
        asyncio.get_running_loop().call_soon(self._turn)


class Work:
    """Long work of several parts. ``done`` says what was done in which turn of the loop."""

    def __init__(self) -> None:
        self.clock, self.turns = Clock(), Turns()
        self.pieces = Pieces(self.clock)
        self.done: list[tuple[str, int]] = []

    async def part(self, name: str, things: int, seconds: float) -> None:
        for _ in range(things):
            await self.pieces.turn()
            self.done.append((name, self.turns.count))
            self.clock.now += seconds

    def in_one_turn(self) -> int:
        """The most that was done in one turn of the loop."""
        turns = [turn for _, turn in self.done]
        return max(turns.count(turn) for turn in turns)


def test_quick_work_does_not_wait() -> None:
    async def scenario() -> None:
        work = Work()
        began = work.turns.count
        await work.part("quick", 1_000, PIECE / 10_000)
        assert {turn for _, turn in work.done} == {began}

    asyncio.run(scenario())


def test_in_one_turn_of_the_loop_there_is_one_piece_whoever_works() -> None:
    async def scenario() -> None:
        work = Work()
        await asyncio.gather(*(work.part(name, 20, 2 * PIECE) for name in "abc"))
        assert work.in_one_turn() == 1
        names = "".join(name for name, _ in work.done)
        assert names[1:-2] == "abc" * 19, "first come, first served ('a' came twice before the others came)"

    asyncio.run(scenario())


def test_many_small_things_that_wait_share_a_piece() -> None:
    async def scenario() -> None:
        work = Work()
        await asyncio.gather(work.part("long", 3, 2 * PIECE), *(work.part(str(n), 1, 0.0) for n in range(100)))
        assert work.in_one_turn() > 10 and len(work.done) == 103

    asyncio.run(scenario())


def test_others_that_take_the_loop_for_long_do_not_keep_the_work_from_going_on() -> None:
    async def scenario() -> None:
        work = Work()

        async def pump() -> None:
            while len(work.done) < 5:
                work.clock.now += 10 * PIECE
                await asyncio.sleep(0)

        await asyncio.wait_for(asyncio.gather(work.part("slow", 5, 2 * PIECE), pump()), 5)

    asyncio.run(scenario())


def test_whoever_is_cancelled_while_it_waits_keeps_nobody_waiting() -> None:
    async def scenario() -> None:
        work = Work()
        tasks = [asyncio.ensure_future(work.part(str(n), 2, 2 * PIECE)) for n in range(40)]
        await asyncio.sleep(0)
        for task in tasks[1:39]:
            task.cancel()
        await asyncio.wait_for(asyncio.wait(tasks), 5)
        assert [name for name, _ in work.done].count("39") == 2

    asyncio.run(scenario())


def test_who_asks_while_an_answer_is_under_way_gets_the_next_one() -> None:
    async def scenario() -> None:
        may_answer, runs = asyncio.Event(), 0

        async def read() -> int:
            nonlocal runs
            runs += 1
            mine = runs
            await may_answer.wait()
            return mine

        shared = Shared(read)
        asked = [asyncio.ensure_future(shared.ask()) for _ in range(50)]
        await asyncio.sleep(0)
        may_answer.set()
        assert await asyncio.gather(*asked) == [1] + [2] * 49

    asyncio.run(scenario())


def test_all_who_share_a_run_share_its_error_and_whoever_asks_later_does_not() -> None:
    async def scenario() -> None:
        runs = 0

        async def read() -> int:
            nonlocal runs
            runs += 1
            await asyncio.sleep(0)
            if runs == 2:
                raise ValueError("no")
            return runs

        shared = Shared(read)
        answers = await asyncio.gather(*(shared.ask() for _ in range(4)), return_exceptions=True)
        assert answers[0] == 1 and [type(answer) for answer in answers[1:]] == [ValueError] * 3
        assert await shared.ask() == 3

    asyncio.run(scenario())


def test_a_run_ends_with_whoever_asked_for_it_and_the_others_have_another_one() -> None:
    async def scenario() -> None:
        never, runs = asyncio.Event(), 0

        async def read() -> int:
            nonlocal runs
            runs += 1
            if runs == 1:
                await never.wait()
            return runs

        shared = Shared(read)
        first, second = asyncio.ensure_future(shared.ask()), asyncio.ensure_future(shared.ask())
        await asyncio.sleep(0)
        first.cancel()
        assert await asyncio.wait_for(second, 5) == 2
        with pytest.raises(asyncio.CancelledError):
            await first

    asyncio.run(scenario())
