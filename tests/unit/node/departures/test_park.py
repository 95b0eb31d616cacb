"""Shards that nobody is left to take."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq.core.lifecycle import LifeEvent
from hubq.node.departures.park import Park
from hubq.strategies.migration import MigrationTraits
from tests.unit.node.fakes import a_child, a_holding
from tests.unit.node.movers import Stage, busy


class Parks(Stage):
    """A stage whose shards are parked."""

    def __init__(self, **traits: Any) -> None:
        super().__init__()
        self.replies["park_shard"] = "parked"
        made = MigrationTraits(**{"retention": 0.01, "handover_data_wait": 0.01, **traits})
        self.park = Park(self.group, self.register, self.plan_due, made, self.departures)


def test_everything_is_saved_and_nothing_owned() -> None:
    async def scenario() -> None:
        stage = Parks()
        stage.child("one"), stage.child("two").waits_for_save(b"5-0")
        in_hand = busy(stage.child("busy"))
        starting = a_child(stage.shard, "starting")
        starting.moved(LifeEvent.RESTORED)
        stage.saver.hands["one"] = ValueError("no")
        waiter = stage.shard.next_commit()
        await stage.park.park_all()
        (sent,) = stage.replies.of("park_shard")
        assert b"state of two" in sent and b"5-0" in sent and b"state of one" not in sent
        assert in_hand.task is not None and in_hand.task.cancelled(), "its message is undone"
        assert b"state of busy" in sent, "and the state before it is saved"
        assert b"state of starting" not in sent
        assert stage.shard.gone and not stage.register.all() and stage.standing.token(0) == 3 and waiter.cancelled()
        assert stage.endings.disposed == [(["one", "two", "busy", "starting"], "parked")]
        assert await stage.plan_due.heard(within=5)

    asyncio.run(scenario())


def test_pins_and_what_is_moving_already_are_left_alone() -> None:
    async def scenario() -> None:
        stage = Parks()
        stage.pin("room-2")
        moving = a_holding(1)
        moving.begin_motion()
        stage.register.hold(moving)
        await stage.park.park_all()
        assert len(stage.replies.of("park_shard")) == 1 and len(stage.register) == 2 and moving.open

    asyncio.run(scenario())


def test_a_shard_whose_last_commit_waits_is_parked_after_that() -> None:
    async def scenario() -> None:
        stage = Parks()
        stage.child("one")
        stage.shard.hold_up()
        await stage.park.park_all()
        assert not stage.replies.of("park_shard") and not stage.shard.gone and not stage.shard.in_motion
        stage.shard.go_on()
        await stage.park.park_all()
        assert stage.replies.of("park_shard") and stage.shard.gone

    asyncio.run(scenario())


def test_children_that_start_are_not_waited_for() -> None:
    async def scenario() -> None:
        stage = Parks(retention=600.0)
        a_child(stage.shard, "starting").moved(LifeEvent.RESTORED)
        await asyncio.wait_for(stage.park.park_all(), 5)
        assert stage.shard.gone

    asyncio.run(scenario())
