"""Children that are built before their token comes."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.core.handover import TargetEvent
from hubq.core.messages import StartChildren
from hubq.core.state_machine import IllegalMove
from hubq.errors import RedisUnavailable
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.strategies.migration import HotSwap
from tests.unit.node.fakes import run_forward, time_passes
from tests.unit.node.movers import Stage, a_record


class Building(Stage):
    """A stage on which children of shard 1 are built ahead."""

    def __init__(self, migration: Any = None) -> None:
        super().__init__()
        migration = migration or HotSwap()
        self.patience = migration.handle_process_startups(self.group.config.lease)
        self.ahead = AheadBuilt(
            self.group, cast(Any, self.events), GatheredLog(), cast(Any, self.builder), migration, self.pieces
        )
        self.specs = {"one": a_record(), "two": a_record()}
        self.replies["HGETALL " + self.keys.children(1)] = self.specs
        self.replies["HMGET"] = lambda command: {name: self.specs[name] for name in command.args[2:]}

    async def start(self, child: str = "") -> list[str]:
        """Carry out a ``start_children``; the fields of the answer."""
        before = len(self.replies.of("send_control"))
        await self.ahead.start_children(StartChildren("b", 1, "id", child))
        return [str(part) for sent in self.replies.of("send_control")[before:] for part in sent]


def test_a_shard_is_built_and_taken_once() -> None:
    async def scenario() -> None:
        stage = Building()
        answer = await stage.start()
        assert "child_start_resp" in answer and stage.builder.built == ["one", "two"] and stage.ahead.announced(1)
        stage.ahead.moved(1, TargetEvent.HANDOVER)
        assert set(stage.ahead.take_shard(1)) == {"one", "two"} and not stage.ahead.take_shard(1)
        stage.ahead.moved(1, TargetEvent.RESTORED)
        assert not stage.ahead.announced(1)

    asyncio.run(scenario())


def test_what_cannot_be_built_is_named_with_its_reason() -> None:
    async def scenario() -> None:
        stage = Building()
        stage.builder.broken = {"two"}
        answer = await stage.start()
        assert answer[answer.index("failed") + 1] == "two"
        assert answer[answer.index("reasons") + 1] == "no module for two"
        assert stage.events.added[0][0] == "child_start_failed" and set(stage.ahead.take_shard(1)) == {"one"}

    asyncio.run(scenario())


def test_who_waits_is_told_every_second_that_it_goes_on_also_for_what_comes_later() -> None:
    async def scenario() -> None:
        stage = Building()
        stage.specs.update({name: a_record() for name in ("three", "four")})
        build = stage.builder.build

        def slowly(holding: Any, child: str, record: Any) -> Any:
            stage.clock.now += 0.6
            return build(holding, child, record)

        stage.builder.build = slowly  # type: ignore[method-assign]
        first = asyncio.ensure_future(stage.start())
        await asyncio.sleep(0)
        later = asyncio.ensure_future(stage.ahead.start_children(StartChildren("c", 2, "later")))
        await asyncio.gather(first, later)
        sent = [[str(part) for part in words] for words in stage.replies.of("send_control")]
        told = [words[words.index("handover_id") + 1] for words in sent if "child_start_progress" in words]
        assert told.count("id") == 2 and told.count("later") >= 2, told

    asyncio.run(scenario())


def test_while_a_shard_is_built_it_is_not_built_again() -> None:
    async def scenario() -> None:
        stage = Building()
        stage.redis.may_answer.clear()
        first = asyncio.ensure_future(stage.start())
        await stage.redis.until_asked(1)
        await stage.ahead.start_children(StartChildren("b", 1, "another"))
        assert len(stage.redis.asked) == 1, "no question, no answer: the first one is under way"
        stage.redis.may_answer.set()
        await first
        assert await stage.start(), "what is ready may be built anew"

    asyncio.run(scenario())


def test_after_a_failure_it_may_be_announced_again() -> None:
    async def scenario() -> None:
        stage = Building()
        stage.replies["HGETALL " + stage.keys.children(1)] = RedisUnavailable("away")
        with pytest.raises(RedisUnavailable):
            await stage.start()
        assert not stage.ahead.announced(1)

    asyncio.run(scenario())


def test_a_shard_that_comes_while_it_is_built_does_not_wait_for_that() -> None:
    async def scenario() -> None:
        stage = Building()
        stage.redis.may_answer.clear()
        building = asyncio.ensure_future(stage.start())
        await stage.redis.until_asked(1)
        stage.ahead.moved(1, TargetEvent.HANDOVER)
        stage.redis.may_answer.set()
        await building
        assert not stage.ahead.take_shard(1), "it is too late for these"

    asyncio.run(scenario())


def test_what_does_not_come_is_dropped() -> None:
    async def scenario() -> None:
        stage = Building()
        await stage.start()
        await stage.start("one")
        await time_passes(stage.patience / 2)
        assert stage.ahead.announced(1)
        await time_passes(stage.patience / 2)
        assert not stage.ahead.announced(1) and not stage.ahead.take_shard(1) and not stage.ahead.take_single(1, "one")

    run_forward(scenario())


def test_what_was_built_anew_is_not_dropped_for_the_first() -> None:
    async def scenario() -> None:
        stage = Building()
        await stage.start()
        await stage.start("one")
        await time_passes(stage.patience / 2)
        await stage.start()
        await stage.start("one")
        await time_passes(stage.patience / 2)  # the first ones are overdue
        assert stage.ahead.take_shard(1) and stage.ahead.take_single(1, "one")

    run_forward(scenario())


def test_single_children_are_kept_apart_from_their_shard() -> None:
    async def scenario() -> None:
        stage = Building()
        await stage.start("one\ntwo")
        assert not stage.ahead.announced(1) and not stage.ahead.take_shard(1)
        assert set(stage.ahead.take_single(1, "one")) == {"one"} and not stage.ahead.take_single(1, "one")
        stage.ahead.forget_all()
        assert not stage.ahead.take_single(1, "two")

    asyncio.run(scenario())


def test_a_shard_that_nobody_hands_over_is_not_restored() -> None:
    stage = Building()
    with pytest.raises(IllegalMove):
        stage.ahead.moved(1, TargetEvent.RESTORED)
