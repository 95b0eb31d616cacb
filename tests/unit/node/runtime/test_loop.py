"""The loop of a part: an error in a turn is logged and the loop goes on, a bell wakes it, and a stop ends it for certain."""

from __future__ import annotations

import asyncio
import logging

import pytest

from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.runtime.bell import Bell
from hubq.node.runtime.loop import Loop, Work


class Rung(Loop):
    """Takes a turn each time its bell is rung; what a turn raises is given."""

    def __init__(self, *raised: BaseException | None) -> None:
        super().__init__("counting")
        self.bell = Bell()
        self.turns = 0
        self.taken = asyncio.Event()
        self._raised = iter(raised)

    async def _turn(self) -> None:
        await self.bell.heard()
        self.turns += 1
        self.taken.set()
        error = next(self._raised, None)
        if error is not None:
            raise error

    async def one_more(self) -> None:
        """Ring, and wait for the turn."""
        self.taken.clear()
        self.bell.ring()
        await self.taken.wait()
        await asyncio.sleep(0)  # what it has raised has been seen to


def records(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    return [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "hubq.node"]


def taken_after(*raised: BaseException | None) -> int:
    """How many turns a loop has taken whose turns raise these, and that is rung once more after the last of them."""

    async def scenario() -> int:
        loop = Rung(*raised)
        loop.start()
        for _ in range(len(raised) + 1):
            await loop.one_more()
        await loop.stop()
        return loop.turns

    return asyncio.run(asyncio.wait_for(scenario(), 30.0))


def test_a_bell_wakes_it_once_for_all_rings_before_a_turn() -> None:
    async def scenario() -> None:
        loop = Rung()
        loop.bell.ring()
        loop.bell.ring()
        loop.start()
        await loop.taken.wait()
        assert loop.turns == 1
        await loop.one_more()
        assert loop.turns == 2
        await loop.stop()

    asyncio.run(asyncio.wait_for(scenario(), 30.0))


def test_an_error_in_a_turn_is_logged_and_the_next_turn_follows(caplog: pytest.LogCaptureFixture) -> None:
    assert taken_after(ValueError("odd"), KeyError("x")) == 3
    assert records(caplog) == [(logging.ERROR, "counting failed")] * 2
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["odd", "'x'"]


@pytest.mark.parametrize("error", [RedisUnavailable("gone"), ConnectionResetError("gone"), TimeoutError("gone")])
def test_a_turn_that_finds_redis_away_is_no_error(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "hubq.node"):
        assert taken_after(error, error) == 3
    assert records(caplog) == [(logging.DEBUG, "counting waits: Redis is away (gone)")] * 2


def test_a_refusal_is_said_once_until_a_turn_succeeds_or_another_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    no, other = RedisRefused("WRONGTYPE"), RedisRefused("NOPERM")
    assert taken_after(no, no, other, None, other) == 6
    assert records(caplog) == [
        (logging.ERROR, f"counting is refused: {text}") for text in ("WRONGTYPE", "NOPERM", "NOPERM")
    ]


def test_a_stop_ends_a_turn_under_way_and_no_other_follows() -> None:
    async def scenario() -> None:
        loop = Rung()
        loop.start()
        await loop.one_more()
        await loop.stop()
        loop.bell.ring()
        for _ in range(5):
            await asyncio.sleep(0)
        assert loop.turns == 1

    asyncio.run(asyncio.wait_for(scenario(), 30.0))


def test_a_stop_ends_work_that_takes_a_cancellation_for_a_lost_connection() -> None:
    class Stubborn(Loop):
        def __init__(self) -> None:
            super().__init__("being stubborn")
            self.swallowed = 0
            self.begun = asyncio.Event()

        async def _turn(self) -> None:
            self.begun.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.swallowed += 1
                if self.swallowed == 1:
                    raise TimeoutError("redis-py has seen its time-out only") from None
                raise

    async def scenario() -> int:
        loop = Stubborn()
        loop.start()
        await loop.begun.wait()
        await loop.stop()
        return loop.swallowed

    assert asyncio.run(asyncio.wait_for(scenario(), 30.0)) == 2


class Once(Work):
    """Counts how often its work was begun, and is at work until it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.at_work = 0

    async def _work(self) -> None:
        self.begun += 1
        self.at_work += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.at_work -= 1


def test_start_and_stop_may_be_called_twice_or_alone_and_in_turn() -> None:
    async def scenario() -> None:
        work = Once()
        await work.stop()
        work.start()
        work.start()
        await asyncio.sleep(0)
        assert (work.begun, work.at_work) == (1, 1)
        await work.stop()
        await work.stop()
        assert (work.begun, work.at_work) == (1, 0)
        work.start()
        await asyncio.sleep(0)
        assert (work.begun, work.at_work) == (2, 1)
        await work.stop()
        assert work.at_work == 0

    asyncio.run(asyncio.wait_for(scenario(), 30.0))
