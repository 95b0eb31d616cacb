"""The loops that forward messages to other groups: what they delete has arrived, and nothing overtakes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from hubq.config import Config
from hubq.node.held.cursors import Cursors
from hubq.node.held.far_outboxes import FarOutboxes
from hubq.node.held.register import Register
from hubq.node.mailbox.far_forwarder import FarForwarder
from hubq.node.runtime.group import Group
from hubq.node.runtime.neighbours import Neighbours
from hubq.store.command import Command, plain
from hubq.store.connection import AsyncRedis
from hubq.store.keys import Keys
from hubq.store.mailbox import read_range
from hubq.testing import FakeServer, eventually
from hubq.testing.moments import pages_between_groups
from tests.unit.node.fakes import Clock, a_holding, a_standing

#: Of each child that is there: a spec.
SPEC = b'{"name":"Room","module":"m","start_id":"s:1"}\n'


class Slow(AsyncRedis):
    """``meanwhile`` is done once, when the first messages have been taken and before that is answered."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def run(self, command: Command[Any], *, retry_for: float = 0.0) -> Any:
        answer, meanwhile = await super().run(command, retry_for=retry_for), self.meanwhile
        if meanwhile is not None and command.args[0] == "EVALSHA":
            self.meanwhile = None
            await meanwhile()
        return answer


class Bench:
    """A node with shard 0, in group 0 of two, and the children of shard 1, in the other group."""

    def __init__(self) -> None:
        server, config = FakeServer(), Config(groups=2, shards=2, max_backlog=3)
        self.source, self.target = AsyncRedis(server), Slow(server)
        neighbours = Neighbours()
        groups = [
            Group(redis, redis, Keys("h", number, 2), config, a_standing(Clock()), number=number)
            for number, redis in enumerate((self.source, self.target))
        ]
        for group in groups:
            neighbours.enter(group)
        self.near, self.far = groups
        self.outboxes = FarOutboxes(own=0, groups=2)
        register = Register(Cursors(), self.outboxes)
        register.hold(a_holding(0))
        self.forwarder = FarForwarder(self.near, register, self.outboxes, neighbours, cast(Any, None))
        self.stream = self.near.keys.far_keys(0, 1)[0]

    async def raw(self, *args: Any) -> Any:
        return await self.source.run(plain(*args, read=lambda answer: answer))

    async def waits(self, generation: str, *said: tuple[int, str, str]) -> None:
        """Messages wait: number, child, method."""
        for number, child, method in said:
            fields = {
                "shard": 1,
                "generation": generation,
                "sender": "s",
                "child": child,
                "method": method,
                "payload": "p",
            }
            words = [word for pair in {**fields, "spec": ""}.items() for word in pair]
            await self.raw("XADD", self.stream, f"{number}-0", *words)
            await self.raw("HSET", self.far.keys.children(1), child, SPEC)
        self.outboxes.arrived(0)

    async def mailbox(self, child: str) -> list[str]:
        """What has arrived for a child."""
        found: Sequence[Any] = await self.source.run(read_range(self.far.keys, 1, b"0", b"+", 100))
        return [each.method for each in found if each.child == child]

    async def arrive(self, child: str, methods: list[str]) -> None:
        """Wait until these are in its mailbox."""

        async def there() -> bool:
            return len(await self.mailbox(child)) >= len(methods) and not await self.raw("XLEN", self.stream)

        await eventually(there, 5, f"{methods} arrive")
        assert await self.mailbox(child) == methods


def test_a_number_that_was_given_again_is_not_deleted_for_the_one_that_has_arrived() -> None:
    async def scenario() -> None:
        bench = Bench()

        async def goes_back() -> None:
            await bench.raw("DEL", bench.stream)
            await bench.waits("x.2", (1, "room", "new"))

        await bench.waits("x.1", (1, "room", "old"), (2, "room", "older"))
        bench.target.meanwhile = goes_back
        bench.forwarder.start()
        try:
            await bench.arrive("room", ["old", "older", "new"])
        finally:
            await bench.forwarder.stop()

    asyncio.run(scenario())


def test_a_number_that_is_given_again_after_the_group_went_back_is_that_of_another_message() -> None:
    async def scenario() -> None:
        bench = Bench()
        standing = bench.near.standing
        await bench.waits(standing.generation, (1, "room", "old"))
        bench.forwarder.start()
        try:
            await bench.arrive("room", ["old"])
            standing.void([0])
            standing.joined(incarnation=8, asked_at=0.0, redis_ms=0, lease_ms=5_000)
            await bench.waits(standing.generation, (1, "room", "new"))
            await bench.arrive("room", ["old", "new"])
        finally:
            await bench.forwarder.stop()

    asyncio.run(scenario())


def test_what_is_too_far_ahead_is_not_overtaken_by_what_another_life_has_said_later() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.raw("HSET", bench.far.keys.backlog(1), "full", 3)
        await bench.waits("x.1", (1, "full", "one"), (2, "other", "two"), (3, "other", "three"), (4, "room", "four"))
        await bench.waits("x.2", (5, "room", "five"), (6, "other", "six"))
        bench.forwarder.start()
        try:

            async def passed() -> bool:
                return await bench.mailbox("other") == ["two", "three", "six"]

            await eventually(passed, 5, "what is for others passes it")
            await bench.raw("HDEL", bench.far.keys.backlog(1), "full")
            await bench.arrive("room", ["four", "five"])
        finally:
            await bench.forwarder.stop()

    with pages_between_groups(at_once=3, ahead=2):
        asyncio.run(scenario())
