"""Marks: what is begun in a watched shard is written down before."""

from __future__ import annotations

import asyncio

from hubq.errors import RedisUnavailable
from hubq.node.held.cursors import Cursors
from hubq.node.held.pins import set_aside
from hubq.node.runtime.background import Background
from hubq.node.trials.marks import Marks
from hubq.store.owners import Owner
from tests.unit.node.fakes import Clock, FakeRedis, a_child, a_group, a_holding


def test_marks_of_the_same_moment_share_a_round_trip() -> None:
    async def scenario() -> None:
        redis, holding, background = FakeRedis(), a_holding(), Background()
        marks = Marks(a_group(redis), background)
        written = await asyncio.gather(*(marks.write(holding, {f"message {n}": "1-0 1 a#7"}) for n in range(3)))
        assert written == [True, True, True] and [len(commands) for commands in redis.asked] == [3]
        assert marks.me == "a#7"
        assert await marks.write(holding, {"message 1": ""})  # the writer of before has ended
        assert len(redis.asked) == 2

    asyncio.run(scenario())


def test_a_mark_is_tried_again_while_the_holding_is_ours() -> None:
    async def scenario() -> None:
        answers = iter([RedisUnavailable("away"), "fenced", "ok"])
        redis, holding = FakeRedis(lambda command: next(answers)), a_holding()
        marks = Marks(a_group(redis), Background())
        assert await marks.write(holding, {"start room-1": "-"})
        assert len(redis.asked) == 3

    asyncio.run(scenario())


def test_no_mark_is_written_once_the_holding_is_gone_or_the_lease_is_over() -> None:
    async def scenario() -> None:
        redis, clock, holding = FakeRedis(lambda command: "fenced"), Clock(), a_holding()
        marks, background = Marks(a_group(redis, clock), Background()), Background()
        asked = background.run(marks.write(holding, {"start room-1": "-"}), "marking")
        await redis.until_asked(2)
        holding.lose()
        assert await asked is False

        clock.now += 5.0
        assert not await marks.write(a_holding(), {"start room-1": "-"})

    asyncio.run(scenario())


def test_the_mark_of_a_child_is_written_under_the_pin_that_it_has_got_meanwhile() -> None:
    async def scenario() -> None:
        answers = iter(["fenced", "ok"])
        redis, holding = FakeRedis(lambda command: next(answers)), a_holding()
        hosted = a_child(holding)
        marks = Marks(a_group(redis), Background())
        redis.may_answer.clear()
        asked = asyncio.create_task(marks.write(hosted, {"message room-1": "1-0 1 a#7"}))
        await redis.until_asked(1)
        pin = set_aside(Cursors(), holding, hosted)
        redis.may_answer.set()
        assert await asked
        first, second = (commands[0].args for commands in redis.asked)
        assert holding.owner.line in first and "0" in first
        assert pin.owner.line in second and "0/room-1" in second

    asyncio.run(scenario())


def test_a_mark_outlives_the_renewal_of_its_token() -> None:
    async def scenario() -> None:
        answers = iter(["fenced", "ok"])
        redis, holding = FakeRedis(lambda command: next(answers)), a_holding(token=3)
        marks = Marks(a_group(redis), Background())
        redis.may_answer.clear()
        asked = asyncio.create_task(marks.write(holding, {"message room-1": "1-0 1 a#7"}))
        await redis.until_asked(1)
        holding.owned_by(Owner("a", 7, 4))  # as a commit that is repeated does
        redis.may_answer.set()
        assert await asked
        first, second = (commands[0].args for commands in redis.asked)
        assert "a 7 3" in first and "a 7 4" in second

    asyncio.run(scenario())


def test_who_does_not_wait_any_more_is_passed_by() -> None:
    async def scenario() -> None:
        redis, holding = FakeRedis(), a_holding()
        marks = Marks(a_group(redis), Background())
        redis.may_answer.clear()
        impatient = asyncio.create_task(marks.write(holding, {"message room-1": "1-0 1 a#7"}))
        patient = asyncio.create_task(marks.write(holding, {"message room-2": "2-0 1 a#7"}))
        await redis.until_asked(1)
        impatient.cancel()
        redis.may_answer.set()
        assert await patient
        assert impatient.cancelled() or impatient.cancelling()

    asyncio.run(scenario())


def test_an_answer_that_comes_when_the_lease_is_not_trusted_begins_nothing() -> None:
    async def scenario() -> None:
        redis, clock, holding = FakeRedis(), Clock(), a_holding()
        group = a_group(redis, clock)
        marks = Marks(group, Background())
        redis.may_answer.clear()
        asked = asyncio.create_task(marks.write(holding, {"message room-1": "1-0 1 a#7"}))
        await redis.until_asked(1)
        clock.now += 60.0  # the process was frozen meanwhile
        redis.may_answer.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not asked.done()
        holding.lose()
        group.standing.joined(8, clock.now, 1_000_000, 5_000)
        assert await asked is False

    asyncio.run(scenario())


def test_a_mark_is_not_taken_back_while_the_lease_may_be_over() -> None:
    async def scenario() -> None:
        redis, clock, holding = FakeRedis(), Clock(), a_holding()
        group, background = a_group(redis, clock), Background()
        marks = Marks(group, background)
        await marks.take_back(holding, "message room-1")
        assert len(redis.asked) == 1

        clock.now += 5.0  # what was tried has held the process for longer than the lease
        asked = background.run(marks.take_back(holding, "message room-1"), "taking back")
        await asyncio.sleep(0)
        assert len(redis.asked) == 1 and not asked.done()
        holding.lose()
        group.standing.joined(8, clock.now, 0, 5_000)
        await asked
        assert len(redis.asked) == 1  # whoever has the shard now counts it

    asyncio.run(scenario())
