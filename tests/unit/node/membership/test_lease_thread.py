"""The thread that drives the rounds: starting and stopping in any order, and requests that take their time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Sequence
from typing import Any, cast

import pytest

from hubq.node.membership import lease_thread
from hubq.node.membership.lease_thread import LeaseThread
from hubq.node.runtime.tasks import end_tasks
from hubq.testing.patching import replaced
from tests.unit.node.fakes import Seen

SERVER = cast(Any, None)


class Rounds:
    """Rounds of one request each; ``answered`` is what came of each."""

    request_timeout = 0.5

    def __init__(self, pause: float = 0.001) -> None:
        self._pause = pause
        self.began = self.terms = 0
        self.answered: list[object] = []
        self.threads: set[int] = set()
        self.failures: list[Exception] = []
        self._loop = asyncio.get_running_loop()
        self._seen = Seen()

    def begin_anew(self) -> None:
        self.began += 1

    def new_term(self) -> bool:
        self.terms += 1
        return self.terms == 2

    def round(self) -> Generator[Sequence[Any], list[Any], float]:
        self.threads.add(threading.get_ident())
        if self.failures:
            raise self.failures.pop()
        try:
            answers = yield ["renew"]
            self.answered.append(answers)
        except ConnectionError as error:
            self.answered.append(error)
        self._loop.call_soon_threadsafe(self._seen.again)
        return self._pause

    async def until(self, times: int) -> None:
        await self._seen.until(times)


class Redis:
    """A connection that answers, if it may."""

    def __init__(self) -> None:
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Event()
        self.fails = False
        self.closed = self.hung_up = 0

    def __call__(self, server: Any, timeout: float) -> Any:
        return self

    def run_many(self, commands: Any) -> list[str]:
        self.asked.set()
        self.may_answer.wait(10)
        if self.fails:
            raise ConnectionError("away")
        return ["ok" for _ in commands]

    def hang_up(self) -> None:
        self.hung_up += 1

    def close(self) -> None:
        self.closed += 1


def a_thread(pause: float = 0.001) -> tuple[Rounds, Redis, LeaseThread]:
    rounds, redis = Rounds(pause), Redis()
    return rounds, redis, LeaseThread(cast(Any, rounds), SERVER, "a", connect=redis)


def lease_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hubq-lease-")]


def test_rounds_are_made_in_a_thread_of_their_own_until_it_is_stopped() -> None:
    async def scenario() -> None:
        rounds, redis, thread = a_thread()
        thread.start()
        await rounds.until(3)
        await thread.stop()
        made = len(rounds.answered)
        assert rounds.answered[:3] == [["ok"]] * 3 and rounds.threads.isdisjoint({threading.get_ident()})
        assert redis.closed == 1 and redis.hung_up == 1, "a new incarnation has a new connection"
        await asyncio.sleep(0)
        assert len(rounds.answered) == made and lease_threads() == []

    asyncio.run(scenario())


def test_it_may_be_started_and_stopped_in_any_order() -> None:
    async def scenario() -> None:
        rounds, _, thread = a_thread()
        await thread.stop()
        await thread.stop()
        for turn in range(1, 30):
            thread.start()
            thread.start()
            assert rounds.began == turn
            if turn % 3:
                await rounds.until(turn)
            await asyncio.gather(thread.stop(), thread.stop())
            await thread.stop()
        assert lease_threads() == []

    asyncio.run(scenario())


def test_a_request_that_fails_is_thrown_into_the_round() -> None:
    async def scenario() -> None:
        rounds, redis, thread = a_thread()
        redis.fails = True
        thread.start()
        await rounds.until(2)
        await thread.stop()
        assert all(isinstance(answer, ConnectionError) for answer in rounds.answered)

    asyncio.run(scenario())


def test_a_round_that_fails_as_none_should_is_told_and_not_the_last_one(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lease thread that has ended could never be told from one that is cut off: its node would live on, and never join again."""
    monkeypatch.setattr(lease_thread, "AGAIN", 0.001)

    async def scenario() -> None:
        rounds, _, thread = a_thread()
        rounds.failures = [MemoryError(), RuntimeError("no time")]
        thread.start()
        await rounds.until(2)
        await thread.stop()
        assert rounds.answered[:2] == [["ok"]] * 2 and rounds.failures == []
        assert caplog.text.count("a round of the lease thread failed") == 2

    asyncio.run(scenario())


def test_a_stop_does_not_wait_for_ever_and_a_late_answer_counts_no_more() -> None:
    async def scenario() -> None:
        rounds, redis, thread = a_thread()
        redis.may_answer.clear()
        thread.start()
        await asyncio.to_thread(redis.asked.wait, 10)
        with replaced(lease_thread, "LETTING_GO", lambda _: 0.01):
            await thread.stop()
        assert lease_threads(), "it still waits for its answer"
        thread.start()  # and another one may begin
        redis.may_answer.set()
        await rounds.until(1)
        await thread.stop()
        while lease_threads():  # noqa: ASYNC110  (a thread that ends tells nobody)
            await asyncio.sleep(0.001)
        assert redis.closed == 2

    asyncio.run(scenario())


def test_a_long_pause_ends_with_the_stop() -> None:
    async def scenario() -> None:
        rounds, _, thread = a_thread(pause=3600.0)
        thread.start()
        await rounds.until(1)
        async with asyncio.timeout(5):
            await thread.stop()

    asyncio.run(scenario())


def test_a_loop_that_is_closed_is_no_error_to_the_thread() -> None:
    async def scenario() -> Redis:
        _, redis, thread = a_thread()
        redis.may_answer.clear()
        thread.start()
        await asyncio.to_thread(redis.asked.wait, 10)
        stopping = asyncio.create_task(thread.stop())
        await asyncio.sleep(0)
        await end_tasks([stopping])
        return redis

    redis = asyncio.run(scenario())
    redis.may_answer.set()
    for thread in threading.enumerate():
        if thread.name.startswith("hubq-lease-"):
            thread.join(10)
    assert redis.closed == 1
