"""A node knows what is paused before a child begins, and says that it heeds a pause only when nothing of it is begun any more."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq.core.child import Child
from hubq.core.malformed import Table
from hubq.core.pauses import Pause
from hubq.store.command import Command
from tests.unit.node.fakes import name_of
from tests.unit.node.household import Household, cast_of

HANDLED: list[str] = []


class Room(Child):
    async def post(self, text: str) -> None:
        HANDLED.append(text)


class Pausable(Household):
    """Redis has these pauses, under this number."""

    def __init__(self) -> None:
        super().__init__(Room)
        HANDLED.clear()
        self.pauses: dict[str, Pause] = {}
        self.number = 0
        self.held: list[bool] = []
        """Of each time that the node has said that it heeds them: whether its child was held back."""
        self.redis.answer = self._answer

    def _answer(self, command: Command[Any]) -> Any:
        match name_of(command):
            case "HGET":
                return self.number
            case "HGETALL":
                return Table(dict(self.pauses), ())
            case "SET":
                self.held += [bool(hosted.paused) for hosted in self.register.children()]
        return None

    async def pause(self, *pauses: Pause) -> None:
        """These are all that there are."""
        self.pauses, self.number = {pause.field: pause for pause in pauses}, self.number + 1
        await self.pausing.look(self.number)


def test_a_child_that_begins_while_it_is_paused_handles_nothing_until_it_is_resumed() -> None:
    async def scenario() -> None:
        async with Pausable() as home:
            await home.pause(Pause("class", "Room"))
            hosted = home.child(Room)
            await hosted.has_begun()
            home.pumps.offer(hosted, cast_of("post", "hi"))
            for _ in range(20):
                await asyncio.sleep(0)
            assert HANDLED == [] and hosted.paused == "class Room is paused"
            await home.pause()
            await home.handled(hosted)
            assert HANDLED == ["hi"]

    asyncio.run(scenario())


def test_what_a_node_says_that_it_heeds_it_heeds() -> None:
    async def scenario() -> None:
        async with Pausable() as home:
            hosted = home.child(Room)
            await home.handled(hosted, cast_of("post", "before"))
            await home.pause(Pause("child", "room-1", why="look"))
            home.pumps.offer(hosted, cast_of("post", "after", entry="6-0"))
            for _ in range(20):
                await asyncio.sleep(0)
            assert home.held == [True] and HANDLED == ["before"]
            await home.pausing.look(home.number)
            assert home.held == [True], "no news: nothing is read, nothing said"

    asyncio.run(scenario())
