"""All-or-nothing starts: children of a batch that is never sealed are undone."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.errors import RedisRefused
from hubq.node.arrivals import batches
from hubq.node.arrivals.batches import Batches
from hubq.node.held.holding import HostedChild
from tests.unit.node.fakes import FakeReports
from tests.unit.node.movers import Stage, a_record, until


class Ends:
    """Ends what is to be stopped, and forgets what never began."""

    def __init__(self) -> None:
        self.stopped: list[str] = []
        self.forgotten: list[str] = []

    def stop_requested(self, hosted: HostedChild) -> None:
        self.stopped.append(hosted.child_id)

    def forget(self, holding: Any, child: str, record: Any) -> None:
        self.forgotten.append(child)


class Undecided(Stage):
    """A stage on which shard 0 has children of the batch ``b1`` (start id ``s:1``)."""

    def __init__(self) -> None:
        super().__init__()
        self.ends, self.reports = Ends(), FakeReports()
        self.batches = Batches(
            self.group, self.background, self.register, cast(Any, self.ends), cast(Any, self.reports)
        )
        self.state = "open"
        self.specs = {"here": a_record(), "never-begun": a_record(), "other": a_record("s:2")}
        self.replies["GET"] = lambda _: self.state
        self.replies["HGETALL " + self.keys.children(0)] = lambda _: self.specs

    def looks(self) -> int:
        """How often the batch was looked at."""
        return len(self.replies.of("GET"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LOOK", 0.0)


def test_a_batch_that_cannot_be_read_is_told_and_holds_up_no_other() -> None:
    async def scenario() -> None:
        stage = Undecided()
        stage.child("here")
        stage.replies["GET"] = lambda command: (
            RedisRefused("WRONGTYPE") if command.args[1] == stage.keys.batch("b0") else "sealed 1"
        )
        stage.batches.seen(0, {"s:0": "b0", "s:1": "b1"})
        await until(lambda: bool(stage.replies.of("forget_mark")))
        await until(lambda: bool(stage.reports.told))
        assert stage.reports.told[0].place == stage.keys.batch("b0")
        assert stage.batches.undecided(0) and not stage.ends.stopped
        stage.replies["GET"] = lambda _: ""  # somebody has deleted it
        await until(lambda: bool(stage.ends.forgotten) or not stage.batches.undecided(0) or bool(stage.ends.stopped))
        await stage.end()

    asyncio.run(scenario())


def test_a_batch_that_is_seen_while_others_are_looked_at_is_looked_at_next() -> None:
    async def scenario() -> None:
        stage = Undecided()
        stage.child("here")

        def state_of(command: Any) -> str:
            stage.batches.seen(0, {"s:2": "b2"})
            return "open" if command.args[1] == stage.keys.batch("b1") else "sealed 1"

        stage.replies["GET"] = state_of
        stage.batches.seen(0, {"s:1": "b1"})
        await until(lambda: bool(stage.replies.of("forget_mark")))
        stage.replies["GET"] = lambda _: "sealed 1"
        await stage.idle()
        assert not stage.batches.undecided(0)

    asyncio.run(scenario())


def test_a_sealed_batch_is_forgotten() -> None:
    async def scenario() -> None:
        stage = Undecided()
        stage.child("here")
        stage.batches.seen(0, {})
        assert not stage.redis.asked
        stage.batches.seen(0, {"s:1": "b1"})
        await until(lambda: stage.looks() > 2)
        stage.state = "sealed 1"
        await until(lambda: bool(stage.replies.of("forget_mark")))
        await stage.idle()
        assert not stage.ends.stopped

    asyncio.run(scenario())


def test_children_of_an_undone_batch_are_ended_until_nothing_is_left_of_them() -> None:
    async def scenario() -> None:
        stage = Undecided()
        stage.child("here"), stage.child("other")
        stage.state = ""
        stage.batches.seen(0, {"s:1": "b1"})
        await until(lambda: len(stage.ends.stopped) > 1)
        assert set(stage.ends.stopped) == {"here"} and set(stage.ends.forgotten) == {"never-begun"}
        assert not stage.replies.of("forget_mark"), "their end is not committed yet"
        stage.specs = {"other": a_record("s:2")}
        await stage.idle()
        assert len(stage.replies.of("forget_mark")) == 1

    asyncio.run(scenario())


def test_who_is_apart_or_just_being_started_is_not_forgotten() -> None:
    async def scenario() -> None:
        stage = Undecided()
        stage.state = ""
        stage.shard.set_apart(["here"])
        stage.cursors.set_behind(stage.shard, "never-begun", b"0")
        stage.batches.seen(0, {"s:1": "b1"})
        await until(lambda: stage.looks() > 2)
        assert not stage.ends.forgotten and not stage.ends.stopped
        await stage.end()

    asyncio.run(scenario())


def test_nothing_is_undone_during_a_handover_and_a_shard_that_has_gone_is_no_matter() -> None:
    async def scenario() -> None:
        stage = Undecided()
        stage.child("here")
        stage.state = ""
        stage.shard.close_intake()
        stage.batches.seen(0, {"s:1": "b1"})
        await until(lambda: stage.looks() > 2)
        assert not stage.ends.stopped
        stage.register.drop(stage.shard)
        await stage.idle()
        assert not stage.replies.of("forget_mark")

    asyncio.run(scenario())
