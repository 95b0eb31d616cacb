"""What children tell of their progress is written now and then, the last one always."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from hubq import Child, InvalidProgress, RedisUnavailable
from hubq.core.lifecycle import LifeEvent
from hubq.node.children.progress import PACE, Progresses

from ..fakes import FakeRedis, name_of, run_forward, time_passes
from ..household import Household


class Copier(Child):
    pass


def told(redis: FakeRedis) -> list[list[str]]:
    """For each write the child, the token and what it says, child by child."""
    scripts = [command for commands in redis.asked for command in commands if name_of(command) == "note_progress"]
    return [[str(each).split(",")[0] for each in command.args[-3:]] for command in scripts]


async def turns() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def test_many_words_are_few_writes_and_the_last_one_is_there() -> None:
    async def scenario() -> None:
        async with Household(Copier) as home:
            progresses, copier = Progresses(home.group), home.child(Copier)
            progresses.start()
            for n in range(1_000):
                progresses.tell(copier, n, None, "")
                await asyncio.sleep(0)
            assert len(told(home.redis)) == 1, "the first one at once"
            await time_passes(PACE)
            await turns()
            assert told(home.redis)[1:] == [["room-1", "3", "[999"]]
            progresses.tell(copier, 1_000, None, "")
            await progresses.stop()
            await progresses.flush()
            assert told(home.redis)[2:] == [["room-1", "3", "[1000"]]
            await progresses.flush()
            assert len(told(home.redis)) == 3, "nothing is written twice"

    run_forward(scenario())


def test_children_of_a_shard_are_one_write_and_a_thread_may_tell() -> None:
    async def scenario() -> None:
        async with Household(Copier) as home:
            progresses = Progresses(home.group)
            progresses.start()
            children = [home.child(Copier, child=f"c-{n}") for n in range(20)]
            thread = threading.Thread(target=lambda: [progresses.tell(each, 1, 2, "") for each in children])
            thread.start()
            thread.join()
            await turns()
            (command,) = [command for commands in home.redis.asked for command in commands]
            assert sum(str(each).startswith("c-") for each in command.args) == 20
            await progresses.stop()

    run_forward(scenario())


def test_what_redis_does_not_take_is_tried_again_unless_there_is_news() -> None:
    async def scenario() -> None:
        async with Household(Copier) as home:
            progresses, copier = Progresses(home.group), home.child(Copier)
            home.redis.answer = lambda command: RedisUnavailable("away")
            progresses.start()
            progresses.tell(copier, 1, None, "")
            await turns()
            progresses.tell(copier, 2, None, "")
            home.redis.answer = lambda command: 1
            await time_passes(PACE)
            await turns()
            assert told(home.redis) == [["room-1", "3", "[1"], ["room-1", "3", "[2"]]
            home.redis.may_answer.clear()
            progresses.tell(copier, 3, None, "")
            await time_passes(PACE)
            await turns()
            await progresses.stop()  # while it waits for Redis
            home.redis.may_answer.set()
            await progresses.flush()
            assert told(home.redis)[-1] == ["room-1", "3", "[3"]

    run_forward(scenario())


def test_the_line_of_a_child_goes_with_it() -> None:
    async def scenario() -> None:
        async with Household(Copier) as home:
            progresses, copier, silent = Progresses(home.group), home.child(Copier), home.child(Copier, child="silent")
            progresses.start()
            progresses.tell(copier, 1, None, "")
            progresses.over(copier)
            progresses.over(silent)
            await progresses.flush()
            assert told(home.redis) == [["room-1", "3", ""]]
            copier.moved(LifeEvent.END)
            progresses.tell(copier, 2, None, "")
            await progresses.flush()
            assert len(told(home.redis)) == 1, "what a handler of a child that has ended tells is not written"
            await progresses.stop()

    run_forward(scenario())


def test_a_wrong_word_changes_nothing() -> None:
    async def scenario() -> None:
        async with Household(Copier) as home:
            progresses = Progresses(home.group)
            wrong: Any = "half"
            with pytest.raises(InvalidProgress):
                progresses.tell(home.child(Copier), wrong, None, "")
            await progresses.flush()
            assert not told(home.redis)

    run_forward(scenario())
