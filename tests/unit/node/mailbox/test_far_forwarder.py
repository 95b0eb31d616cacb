"""The loop that forwards messages to children of other groups: with ``wait_replicas`` a failover takes none back on one side only."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

import pytest

from hubq.config import Config
from hubq.node.held.cursors import Cursors
from hubq.node.held.far_outboxes import FarOutboxes
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.register import Register
from hubq.node.mailbox.far_forwarder import FarForwarder
from hubq.node.runtime.group import Group
from hubq.node.runtime.neighbours import Neighbours
from hubq.store.command import Command
from hubq.store.far import FarMessage
from hubq.store.keys import Keys
from hubq.store.outbox_page import OutboxPage
from tests.unit.node.fakes import Clock, FakeRedis, Seen, a_holding, a_standing, name_of


class Bench:
    """Two messages wait in shard 0, for a child of the other group. ``confirmed``: replicas that have what was written; ``behind``: so
    often they have not. ``fails_over``: with the answer to which command the connection is lost.
    """

    def __init__(self, confirmed: int, **settings: Any) -> None:
        self.confirmed = confirmed
        self.order: list[str] = []
        self.waits: dict[str, list[int]] = {"here": [], "there": []}
        self.behind = {"here": 0, "there": 0}
        self.left = 2
        self.fails_over: dict[str, str] = {}
        self.deleted = Seen()
        config, standing, neighbours = Config(groups=2, shards=4, **settings), a_standing(Clock()), Neighbours()
        self.redises = {name: FakeRedis(partial(self.answer, name)) for name in ("here", "there")}
        groups = [
            Group(cast(Any, redis), cast(Any, redis), Keys("h", number, 2), config, standing, number=number)
            for number, redis in enumerate(self.redises.values())
        ]
        for group in groups:
            neighbours.enter(group)
        register, outboxes = Register(Cursors(), Outboxes()), FarOutboxes(0, 2)
        register.hold(a_holding(0))
        outboxes.arrived(0)
        self.forwarder = FarForwarder(groups[0], register, outboxes, neighbours, cast(Any, None))

    def answer(self, where: str, command: Command[Any]) -> Any:
        what = name_of(command)
        if what == "XLEN":
            return self.left
        if what == "TIME":
            return None
        self.order.append(f"{what} {where}")
        if self.fails_over.get(where) == self.order[-1]:
            del self.fails_over[where]
            self.redises[where].connection += 1
        match what:
            case "XRANGE":
                found = {f"{n}-0": FarMessage(n, 1, "x.1", b"a", b"b", b"post", b"", b"") for n in (1, 2)}
                return OutboxPage(found, {}, "2-0")
            case "WAIT":
                self.waits[where].append(int(command.args[2]))
                self.behind[where] -= 1
                return 0 if self.behind[where] >= 0 else self.confirmed
            case "receive_far":
                return [True, True]
        self.left = 0
        self.deleted.again()
        return 0

    async def forwarded(self) -> list[str]:
        """What was asked until they were forwarded."""
        self.forwarder.start()
        try:
            await self.deleted.until(1)
        finally:
            await self.forwarder.stop()
        return self.order


def test_what_a_failover_takes_back_has_not_left_and_what_it_must_not_take_back_is_kept() -> None:
    async def scenario() -> None:
        bench = Bench(1, wait_replicas=1, wait_timeout=0.5)
        assert await bench.forwarded() == [
            "XRANGE here",
            "WAIT here",
            "receive_far there",
            "WAIT there",
            "delete_far here",
        ]
        assert bench.waits == {"here": [500], "there": [500]}

    asyncio.run(scenario())


@pytest.mark.parametrize("where", ["here", "there"])
def test_while_replicas_are_behind_it_waits_and_is_done_again(where: str) -> None:
    async def scenario() -> None:
        bench = Bench(1, wait_replicas=1, wait_timeout=0.4)
        bench.behind[where] = 2
        once = ["XRANGE here", "WAIT here"] + (["receive_far there", "WAIT there"] if where == "there" else [])
        assert await bench.forwarded() == [
            *once, *once, "XRANGE here", "WAIT here", "receive_far there", "WAIT there", "delete_far here",
        ]  # fmt: skip
        assert bench.waits[where] == [400, 100, 100], "Redis answers nothing else meanwhile"

    asyncio.run(scenario())


@pytest.mark.parametrize("where", ["here", "there"])
@pytest.mark.parametrize("replicas", [0, 1])
def test_what_another_redis_has_confirmed_says_nothing_of_what_was_read_or_written_before(
    where: str, replicas: int
) -> None:
    async def scenario() -> None:
        bench = Bench(1, wait_replicas=replicas)
        bench.fails_over[where] = "XRANGE here" if where == "here" else "receive_far there"
        order = await bench.forwarded()
        assert order.count("XRANGE here") == 2 and order.count("delete_far here") == 1
        assert order.count("receive_far there") == (2 if where == "there" else 1)

    asyncio.run(scenario())


@pytest.mark.parametrize("confirmed", [0, 1])
def test_without_wait_replicas_nothing_is_asked_of_replicas(confirmed: int) -> None:
    async def scenario() -> None:
        assert await Bench(confirmed).forwarded() == ["XRANGE here", "receive_far there", "delete_far here"]

    asyncio.run(scenario())
