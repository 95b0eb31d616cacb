"""Drafts leave while their handler runs, before what its commit publishes, and are retracted if their message is undone."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq.core.child import Child
from hubq.core.malformed import Table
from hubq.store.command import Command
from hubq.store.drafts import Handling
from tests.unit.node.fakes import name_of, words_of
from tests.unit.node.household import Household, cast_of


class Writer(Child):
    async def write(self, fails: bool) -> None:
        for word in ("once", "upon"):
            self.publish("word", word, now=True)
        await asyncio.sleep(0)
        self.publish("word", "a", now=True)
        if fails:
            raise ValueError("no more words")


class Writing(Household):
    """``left``: the handlings with drafts that stand in Redis when a shard comes."""

    def __init__(self) -> None:
        super().__init__(Writer)
        self.left: dict[str, Handling] = {}
        self.drafts: list[int] = []
        """The number of the first one of each request, and how many it has."""
        self.retracted: list[str] = []
        self.redis.answer = self._answer

    def _answer(self, command: Command[Any]) -> Any:
        words = words_of(command) if command.script is not None else ()
        match name_of(command):
            case "publish_drafts":
                self.drafts += [int(words[6]), (len(words) - 8) // 2]
            case "retract_drafts":
                self.retracted.append(str(words[3]))
            case "HGETALL":
                return Table(self.left, ())
        return "ok"

    async def __aenter__(self) -> Writing:
        await super().__aenter__()
        self.drafting.start()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.drafting.stop()
        await super().__aexit__(*error)

    async def turns(self, count: int = 20) -> None:
        """Let whoever has something to do do it."""
        for _ in range(count):
            await asyncio.sleep(0)


def test_the_end_of_a_handler_waits_until_redis_has_its_drafts() -> None:
    async def scenario() -> None:
        async with Writing() as home:
            home.redis.may_answer.clear()
            hosted = home.child(Writer)
            home.pumps.offer(hosted, cast_of("write", False))
            await home.redis.until_asked(1)
            await home.turns()
            assert home.shard.effects.done == {}, "what its commit publishes would come before its drafts"
            home.redis.may_answer.set()
            await home.handled(hosted)
            assert list(home.shard.effects.done) == ["room-1"] and home.retracted == []
            assert sum(home.drafts[1::2]) == 3 and home.drafts[0] == 1

    asyncio.run(scenario())


def test_the_drafts_of_a_handler_that_raises_are_retracted() -> None:
    async def scenario() -> None:
        async with Writing() as home:
            await home.handled(home.child(Writer), cast_of("write", True))
            await home.turns()
            assert home.retracted == ["a#7:1"]

    asyncio.run(scenario())


def test_the_drafts_that_a_former_owner_has_left_are_retracted_and_those_in_hand_stay() -> None:
    async def scenario() -> None:
        async with Writing() as home:
            mine = Handling(0, "room-1", "5-0", "a#7:1")
            theirs = Handling(0, "room-2", "4-0", "b#9:3")
            home.left = {each.field: each for each in (mine, theirs)}
            home.redis.may_answer.clear()
            hosted = home.child(Writer)
            home.pumps.offer(hosted, cast_of("write", False))
            await home.redis.until_asked(1)
            home.open_drafts.arrived(0)
            home.redis.may_answer.set()
            await home.handled(hosted)
            await home.turns()
            assert home.retracted == ["b#9:3"]

    asyncio.run(scenario())
