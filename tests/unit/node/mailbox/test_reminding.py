"""The loop that fires reminders: it asks once for each shard that arrives, sleeps until the next is due, and fires until nothing is."""

from __future__ import annotations

import asyncio
import math
from typing import Any, cast

from hubq.core.malformed import Malformed
from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.held.cursors import Cursors
from hubq.node.held.due_times import DueTimes
from hubq.node.held.register import Register
from hubq.node.mailbox.reminding import Reminding
from hubq.store.command import Command
from hubq.store.reminders import Firing
from tests.unit.node.fakes import Clock, a_group, a_holding, name_of

NEVER = math.inf


class Bench:
    """The loop with shards 0 and 1, and a Redis whose answers the test says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.next_due: dict[int, float] = {}
        self.firings: list[Firing | None] = []
        self.away = 0
        self.refused: set[int] = set()
        self.reported: list[Malformed] = []
        self.clock = Clock()
        self.group = a_group(cast(Any, self), self.clock)
        self.times = DueTimes()
        self.register = Register(Cursors(), self.times)
        for shard in (0, 1):
            self.register.hold(a_holding(shard))
        self.reminding = Reminding(self.group, self.register, self.times, cast(Any, self))

    @property
    def now_ms(self) -> float:
        return self.group.standing.redis_now_ms()

    def report(self, malformed: Malformed) -> None:
        self.reported.append(malformed)

    async def run_many(self, commands: list[Command[Any]]) -> list[Any]:
        if self.away:
            self.away -= 1
            raise RedisUnavailable("away")
        self.asked += [name_of(command) for command in commands]
        return [self._answer(command) for command in commands]

    async def run(self, command: Command[Any]) -> Any:
        (answer,) = await self.run_many([command])
        return answer

    def _answer(self, command: Command[Any]) -> Any:
        if name_of(command) == "fire_reminders":
            return self.firings.pop(0)
        shard = int(str(command.args[1]).split("shard:")[1].split(":")[0])
        if shard in self.refused:
            raise RedisRefused("WRONGTYPE")
        return self.next_due.get(shard, NEVER)

    async def until(self, condition: Any) -> None:
        """Let the loop work until this holds."""
        self.reminding.start()
        try:
            async with asyncio.timeout(5):
                while not condition():  # noqa: ASYNC110  (turn by turn of the loop)
                    await asyncio.sleep(0)
        finally:
            await self.reminding.stop()


def test_shards_that_arrive_are_asked_once_and_what_is_due_is_fired() -> None:
    async def scenario() -> None:
        bench = Bench()
        now = bench.now_ms
        bench.next_due = {0: now - 5, 1: now + 60_000}
        bench.firings = [Firing(now, now - 1, 100), Firing(now, NEVER, 3)]
        await bench.until(lambda: bench.reminding.fired == 103)
        assert bench.asked.count("fire_reminders") == 2 and len(bench.asked) == 4
        assert bench.times.next_ms() == now + 60_000 and bench.times.take_unknown() == []

    asyncio.run(scenario())


def test_a_fenced_shard_is_tried_again_and_one_that_is_not_here_forgotten() -> None:
    async def scenario() -> None:
        bench = Bench()
        now = bench.now_ms
        bench.next_due = {0: now - 5}
        bench.times.told(7, now - 5)
        bench.firings = [None]
        await bench.until(lambda: "fire_reminders" in bench.asked)
        assert bench.times.next_ms() == now + 200.0, "it may be under a new token"

    asyncio.run(scenario())


def test_a_redis_that_is_away_is_asked_again() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.away = 1
        bench.next_due = {0: bench.now_ms - 5}
        bench.firings = [Firing(bench.now_ms, NEVER, 1)]
        await bench.until(lambda: bench.reminding.fired == 1)

    asyncio.run(scenario())


def test_what_is_told_while_redis_is_asked_is_not_forgotten() -> None:
    """The answer may be older than the reminder that was set."""
    times = DueTimes()
    times.told(3, 1_000)
    times.asked(3)
    times.told(3, 5_000)
    times.answered(3, NEVER)
    assert times.next_ms() == 5_000
    times.asked(3)
    times.told(3, 9_000)
    times.answered(3, 7_000)
    assert times.next_ms() == 7_000


def test_a_shard_whose_reminders_redis_refuses_to_read_holds_up_no_other() -> None:
    async def scenario() -> None:
        bench = Bench()
        now = bench.now_ms
        bench.refused = {0}
        bench.next_due = {1: now - 5}
        bench.firings = [Firing(now, NEVER, 1)]
        await bench.until(lambda: bench.reminding.fired == 1)
        assert [each.place for each in bench.reported] == ["the reminders of shard 0"]
        assert bench.times.next_ms() == now + 10_000.0

    asyncio.run(scenario())


def test_what_is_malformed_is_reported() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.next_due = {0: bench.now_ms - 5}
        bench.firings = [Firing(bench.now_ms, NEVER, 0, (Malformed("member 'x'", "no reminder"),))]
        await bench.until(lambda: bench.reported)
        assert bench.reported[0].place == "member 'x'"

    asyncio.run(scenario())
