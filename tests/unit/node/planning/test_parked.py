"""Children that are parked here and are tried again."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.core.lifecycle import Life
from hubq.node.children.failed_builds import FailedBuilds
from hubq.node.held.holding import Holding
from hubq.node.held.older_code import OlderCode
from hubq.node.planning.parked import Parked
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.store.envelope import Envelope
from hubq.store.spec_record import SpecRecord
from tests.unit.node.fakes import a_holding
from tests.unit.node.movers import Stage, a_record


class Revivals:
    """Arrivals that remember who was to be built anew."""

    def __init__(self) -> None:
        self.revived: list[tuple[Holding, str]] = []

    def revive(self, holding: Holding, child: str, record: SpecRecord | None, state: Envelope | None) -> bool:
        self.revived.append((holding, child))
        return True


class Condemned(Stage):
    """A stage with the pin of ``room-1``, closed: its start took nodes down, and its dead letter was replayed."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals = Revivals()
        self.looks = Parked(
            self.group, self.background, cast(Any, self.events), GatheredLog(), self.register, self.queue,
            self.wishes, cast(Any, self.arrivals), cast(Any, None), OlderCode(), FailedBuilds(self.clock),
        )  # fmt: skip
        self.room = a_holding(0, 4, "room-1")
        self.room.close_intake()
        self.placeholder = self.parking.placeholder(self.room, "room-1", a_record(), "starting it took down b and c")
        self.room.attach(self.placeholder)
        self.room.condemn("room-1")
        self.shard.set_apart(["room-1"])
        self.register.hold(self.room)


def test_a_pin_whose_child_is_tried_again_opens() -> None:
    async def scenario() -> None:
        stage = Condemned()
        await stage.looks.revive(0, "room-1")
        assert stage.arrivals.revived == [(stage.room, "room-1")] and stage.room.open and not stage.room.condemned
        assert stage.placeholder.life is Life.ENDED
        assert stage.events.added == [("child_revived", {"shard": 0, "child": "room-1"})]

    asyncio.run(scenario())


@pytest.mark.parametrize("frozen", [False, True])
def test_a_pin_that_returns_to_its_shard_is_tried_again_there(frozen: bool) -> None:
    async def scenario() -> None:
        stage = Condemned()
        stage.redis.may_answer.clear()
        reviving = asyncio.ensure_future(stage.looks.revive(0, "room-1"))
        await stage.redis.until_asked(1)
        stage.room.straggle()  # its shard's owner can build it
        if frozen:
            stage.room.freeze()
        stage.redis.may_answer.set()
        await asyncio.wait_for(reviving, 5)
        assert not stage.arrivals.revived and not stage.room.open and stage.placeholder.life is Life.PARKED

    asyncio.run(scenario())
