"""The first look at shards that have come: one request for all errands, and only those are told that have something to do."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq.errors import RedisRefused
from hubq.node.held.cursors import Cursors
from hubq.node.held.due_times import DueTimes
from hubq.node.held.errands import Errands
from hubq.node.held.far_outboxes import FarOutboxes
from hubq.node.held.marked_shards import MarkedShards
from hubq.node.held.open_drafts import OpenDrafts
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.register import Register
from hubq.node.held.waiting_jobs import WaitingJobs
from hubq.node.mailbox.first_look import FirstLook
from hubq.store.command import Command
from tests.unit.node.fakes import Clock, FakeRedis, a_group, a_holding


class Bench:
    """Shards 0, 1 and 2 come together. ``there``: key -> what Redis says of it; else it is empty."""

    def __init__(self, **there: Any) -> None:
        self.there = there
        self.redis = FakeRedis(self._answer)
        group = a_group(self.redis, Clock())
        self.newcomers, self.outboxes, self.far = MarkedShards(), Outboxes(), FarOutboxes(own=0, groups=2)
        self.reminders, self.jobs, self.drafts = DueTimes(), WaitingJobs(), OpenDrafts()
        errands = (self.outboxes, self.far, self.reminders, self.jobs, self.drafts)
        self.register = Register(Cursors(), Errands(self.newcomers, *errands))
        self.look = FirstLook(group, self.register, self.newcomers, *errands)

    def _answer(self, command: Command[Any]) -> Any:
        return self.there.get(
            str(command.args[1]).partition("shard:")[2], float("inf") if command.args[0] == "ZRANGE" else 0
        )

    async def looked(self) -> None:
        """The shards come, and are looked at. (All are told in the same moment as the one of the outboxes.)"""
        for shard in (0, 1, 2):
            self.register.hold(a_holding(shard))
        self.look.start()
        async with asyncio.timeout(5):
            await self.outboxes.marked()
        await self.look.stop()

    @property
    def told(self) -> dict[str, list[int]]:
        """Who has what to look at."""
        return {
            "outbox": self.outboxes.take(), "far": self.far.lanes[1].take(), "jobs": self.jobs.take(),
            "drafts": self.drafts.take(), "reminders": self.reminders.take_unknown(),
        }  # fmt: skip


def test_shards_that_come_together_are_looked_at_in_one_request() -> None:
    async def scenario() -> None:
        bench = Bench(**{"1:outbox": 3, "2:jobs": 1, "0:drafts": 2, "2:reminders": 9000.0, "1:outbox:1": 1})
        await bench.looked()
        assert len(bench.redis.asked) == 1 and len(bench.redis.names()) == 15
        assert bench.told == {"outbox": [1], "far": [1], "jobs": [2], "drafts": [0], "reminders": [2]}

    asyncio.run(scenario())


def test_a_shard_that_has_gone_is_not_looked_at() -> None:
    async def scenario() -> None:
        bench = Bench(**{"1:outbox": 3})
        gone = a_holding(3)
        bench.register.hold(gone)
        bench.register.drop(gone)
        await bench.looked()
        assert not [command for command in bench.redis.asked[0] if "shard:3" in str(command.args[1])]

    asyncio.run(scenario())


def test_a_key_of_another_type_leaves_each_errand_to_ask_by_itself() -> None:
    async def scenario() -> None:
        bench = Bench(**{"1:jobs": RedisRefused("WRONGTYPE")})
        await bench.looked()
        everything = [0, 1, 2]
        assert bench.told == {
            "outbox": everything, "far": everything, "jobs": everything, "drafts": everything, "reminders": everything,
        }  # fmt: skip

    asyncio.run(scenario())


def test_a_redis_that_is_away_is_asked_again() -> None:
    async def scenario() -> None:
        bench = Bench(**{"1:outbox": 3})
        answer, away = bench.redis.answer, [True]
        bench.redis.answer = lambda command: ConnectionError("away") if away and away.pop() else answer(command)
        await bench.looked()
        assert bench.told["outbox"] == [1] and len(bench.redis.asked) == 2

    asyncio.run(scenario())
