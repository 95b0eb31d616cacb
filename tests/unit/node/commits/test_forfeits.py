"""What follows when a holding is forfeited."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from hubq.node.commits.forfeits import Forfeits
from hubq.node.held.holding import Holding
from hubq.node.runtime.background import Background
from hubq.node.runtime.bell import Bell
from tests.unit.node.fakes import FakeEndings, FakeEvents, FakeRedis, a_child, a_group, a_holding, a_register


class Bench:
    """Forfeits, and what they work with."""

    def __init__(self, holding: Holding) -> None:
        self.redis, self.register, self.background, self.plan_due = FakeRedis(), a_register(), Background(), Bell()
        self.group, self.endings, self.events = a_group(self.redis), FakeEndings(), FakeEvents()
        self.register.hold(holding)
        self.forfeits = Forfeits(
            self.register, cast(Any, self.endings), cast(Any, self.events), self.background, self.plan_due, self.group
        )


def test_a_fenced_shard_is_dropped_once_and_its_children_end() -> None:
    async def scenario() -> None:
        holding = a_holding()
        a_child(holding, "room-1"), a_child(holding, "room-2")
        bench = Bench(holding)
        waiter = holding.next_commit()
        bench.forfeits.fenced(holding)
        bench.forfeits.fenced(holding)
        assert holding.gone and not holding.open and waiter.cancelled() and not bench.register.all()
        assert await bench.plan_due.heard(within=0.0)
        await bench.endings.disposals.until(1)
        assert bench.endings.disposed == [(["room-1", "room-2"], "fenced")]
        assert bench.events.added == [("fenced", {"shard": 0, "child": ""})]
        assert bench.redis.asked == []  # its token is another node's: there is nothing to give back

    asyncio.run(scenario())


def test_a_shard_that_is_given_up_may_be_adopted_again_under_its_token() -> None:
    async def scenario() -> None:
        holding = a_holding(token=3)
        bench = Bench(holding)
        standing = bench.group.standing
        standing.learn(0, 3)
        bench.forfeits.given_up(holding)
        assert holding.gone and standing.token(0) == 2

        standing.learn(0, 5)  # it is known that another one has it by now
        bench.forfeits.given_up(holding)
        assert standing.token(0) == 5
        await bench.background.stop()

    asyncio.run(scenario())


def test_a_pin_that_is_given_up_goes_back_to_its_shard_without_effects() -> None:
    async def scenario() -> None:
        pin = a_holding(pinned="room-9")
        pin.effects.done["room-9"] = [b"1-0"]
        bench = Bench(pin)
        bench.forfeits.given_up(pin)
        await bench.redis.until_asked(1)
        assert bench.redis.names() == ["release_pin"]
        assert b"1-0" not in bench.redis.asked[0][0].args
        assert bench.events.added == [("fenced", {"shard": 0, "child": "room-9"})]
        await bench.background.stop()

    asyncio.run(scenario())
