"""Pins that return to their shard."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.core.wish import Wish
from hubq.node.departures.pin_release import PinReleases
from hubq.node.departures.stragglers import Stragglers
from hubq.store.owners import Owner, Owners
from hubq.strategies.migration import MigrationTraits
from tests.unit.node.fakes import run_forward, time_passes
from tests.unit.node.movers import Stage, busy, nodes, until


class Pins(Stage):
    """A stage with the pin of ``room-1``; its shard is the node ``b``'s."""

    def __init__(self, **traits: Any) -> None:
        super().__init__()
        made = MigrationTraits(**traits)
        self.stragglers = Stragglers(
            self.group, self.background, cast(Any, self.events), made, self.wishes, self.answers, self.departures,
            PinReleases(self.group, self.register, self.plan_due, made, self.departures),
        )  # fmt: skip
        self.room = self.pin()
        self.room.close_intake()
        self.hosted = self.room.children["room-1"]
        self.replies["release_pin"] = "released"
        self.replies["HGETALL " + self.keys.owners] = Owners({0: Owner("b", 8, 9)}, {})
        self.replies["HGETALL " + self.keys.pins] = {}

    async def released(self) -> None:
        """Wait until the pin was given back, and its child ended here."""
        await self.endings.disposals.until(1)
        assert self.register.get(0, "room-1") is None and self.room.gone
        assert self.endings.disposed == [(["room-1"], "migrated")]


def test_it_goes_with_its_state_when_its_message_is_done() -> None:
    async def scenario() -> None:
        stage = Pins()
        in_hand = busy(stage.hosted)
        stage.hosted.waits_for_save(b"5-0")
        stage.stragglers.follow(stage.room, 5.0, serving=False)
        assert stage.room.straggles and not stage.room.open
        await asyncio.sleep(0)
        assert not stage.replies.of("release_pin")
        stage.hosted.hand_empty()
        await stage.released()
        (sent,) = stage.replies.of("release_pin")
        assert b"state of room-1" in sent and b"5-0" in sent and "a 7 4" in sent
        assert ("child_pinned", {"shard": 0, "child": "room-1", "serving": 0}) in stage.events.added
        assert stage.signals.told == [(["room-1"], "passive")]
        in_hand.cancel()
        await stage.end()

    asyncio.run(scenario())


def test_a_message_that_takes_too_long_is_undone_and_its_child_goes() -> None:
    async def scenario() -> None:
        stage = Pins()
        in_hand = busy(stage.hosted)
        stage.stragglers.follow(stage.room, 0.01, serving=False)
        await stage.released()
        assert in_hand.task is not None and in_hand.task.cancelled()

    asyncio.run(scenario())


def test_a_thread_is_waited_for_until_the_node_leaves() -> None:
    async def scenario() -> None:
        stage = Pins()
        in_hand = busy(stage.hosted, in_thread=True)
        await asyncio.sleep(0)
        stage.stragglers.follow(stage.room, 5.0, serving=False)
        await asyncio.sleep(0)
        await time_passes(60.0)
        for _ in range(10):
            await asyncio.sleep(0)  # it is not done by the time-out alone
        assert in_hand.task is not None and not in_hand.task.done() and not stage.replies.of("release_pin")
        stage.standing.drain()
        await stage.released()
        assert in_hand.task.cancelled()

    run_forward(scenario())


def test_a_child_whose_state_cannot_be_taken_goes_with_its_last_commit() -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.saver.hands["room-1"] = ValueError("no")
        stage.room.effects.done["room-1"] = [b"7-0"]
        await stage.stragglers.give_back(stage.room)
        await stage.released()
        assert b"7-0" in stage.replies.of("release_pin")[0]

    asyncio.run(scenario())


def test_an_empty_pin_is_given_back_at_once() -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.room.detach("room-1")
        await stage.stragglers.give_back(stage.room)
        assert stage.room.gone and len(stage.replies.of("release_pin")) == 1 and await stage.plan_due.heard(within=5)

    asyncio.run(scenario())


def test_a_lost_pin_is_not_released() -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.register.drop(stage.room)
        await stage.stragglers.give_back(stage.room)
        assert not stage.replies.of("release_pin") and not stage.endings.disposed

    asyncio.run(scenario())


def test_one_that_serves_on_is_offered_when_there_is_news_and_goes_when_it_can_start() -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.answer_moves()
        stage.cannot_build = "room-1"
        stage.stragglers.follow(stage.room, 5.0, serving=True)
        await until(lambda: stage.room.open and stage.pumps.resumed == ["room-1"])
        for offers in (1, 2):
            stage.wishes.news.ring()
            await until(lambda offers=offers: len(stage.replies.of("send_control")) == offers)  # type: ignore[misc]
            await until(lambda: not stage.answers.expected)
            assert stage.room.open
        stage.cannot_build = ""
        await until(lambda: stage.wishes.news.ring() is None and stage.room.gone)
        await stage.released()

    asyncio.run(scenario())


def test_news_that_comes_while_another_node_is_asked_asks_for_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.answer_moves()
        stage.cannot_build, started, answers = "room-1", stage.answers.started, list[Any]()

        def answered(answer: Any) -> None:
            answers.append(answer)
            if len(answers) == 1:
                stage.wishes.news.ring()
            started(answer)

        monkeypatch.setattr(stage.answers, "started", answered)
        stage.stragglers.follow(stage.room, 5.0, serving=True)
        await until(lambda: stage.room.open)
        stage.wishes.news.ring()
        await until(lambda: len(answers) == 2)
        await stage.end()

    asyncio.run(scenario())


@pytest.mark.parametrize("owner", ["a", "-", "c"])
def test_whether_it_can_start_there(owner: str) -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.replies["HGETALL " + stage.keys.owners] = Owners({0: Owner(owner, 8, 9)}, {})
        stage.replies["HGETALL " + stage.keys.pins] = {"room-1": Wish("b", "moved")}
        await stage.wishes.refresh(1)
        stage.wishes.seen(nodes(b=8))  # wanted on a node that is neither here nor the owner: its way is by its shard
        stage.stragglers.follow(stage.room, 5.0, serving=True)
        owners = ("HGETALL", stage.keys.owners)
        if owner == "-":
            await until(lambda: stage.wishes.news.ring() is None and stage.replies.of("HGETALL").count(owners) > 2)
            assert stage.room.open and not stage.replies.of("release_pin")
        else:
            await until(lambda: stage.wishes.news.ring() is None and stage.room.gone)
            await stage.released()
        assert not stage.replies.of("send_control"), "nobody is asked"
        await stage.end()

    asyncio.run(scenario())


def test_one_that_is_wanted_here_by_now_stays() -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.stragglers.follow(stage.room, 5.0, serving=True)
        await until(lambda: stage.room.open)
        stage.replies["HGETALL " + stage.keys.pins] = {"room-1": Wish("a", "moved")}
        await stage.wishes.refresh(1)
        await until(lambda: not stage.room.straggles)
        assert stage.room.open and not stage.replies.of("release_pin")

    asyncio.run(scenario())


def test_a_node_that_leaves_gives_all_of_them_back() -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.stragglers.follow(stage.room, 5.0, serving=True)
        await until(lambda: stage.room.open)
        stage.standing.drain()
        await stage.released()
        assert not stage.replies.of("send_control"), "nobody is asked"

    asyncio.run(scenario())


def test_one_that_ends_while_it_serves_leaves_an_empty_pin_that_is_given_back() -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.stragglers.follow(stage.room, 5.0, serving=True)
        await until(lambda: stage.room.open)
        stage.replies["HGETALL " + stage.keys.owners] = Owners({0: Owner("-", 0, 9)}, {})
        stage.room.detach("room-1")
        stage.wishes.news.ring()
        await until(lambda: stage.room.gone)
        assert len(stage.replies.of("release_pin")) == 1

    asyncio.run(scenario())


def test_one_that_is_kept_serves_and_is_no_straggler() -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.stragglers.keep(stage.room)
        assert stage.room.open and not stage.room.straggles and stage.pumps.resumed == ["room-1"]
        assert stage.events.added == [("child_pinned", {"shard": 0, "child": "room-1", "serving": 1})]

    asyncio.run(scenario())


@pytest.mark.parametrize("serving", [False, True])
def test_a_pin_that_was_lost_before_it_is_followed_is_nobodys(serving: bool) -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.register.drop(stage.room)  # the node was evicted while a strategy waited for something
        stage.stragglers.follow(stage.room, 5.0, serving=serving)
        stage.stragglers.keep(stage.room)
        await stage.idle()
        assert stage.room.gone and not stage.pumps.resumed and not stage.events.added

    asyncio.run(scenario())


@pytest.mark.parametrize("serving", [False, True])
def test_a_pin_that_is_lost_before_its_first_step_is_not_opened(
    serving: bool, caplog: pytest.LogCaptureFixture
) -> None:  # fmt: skip
    async def scenario() -> None:
        stage = Pins()
        stage.stragglers.follow(stage.room, 5.0, serving=serving)
        stage.register.drop(stage.room)
        await stage.idle()
        assert stage.room.gone and not stage.pumps.resumed and not stage.replies.of("release_pin")

    asyncio.run(scenario())
    assert not caplog.records


def test_a_pin_that_is_being_given_back_already_is_not_followed_as_well(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        stage = Pins()
        stage.room.begin_motion()  # the plan was looked at before the strategy let it follow
        stage.room.straggle()
        stage.redis.may_answer.clear()
        giving_back = asyncio.ensure_future(stage.stragglers.give_back(stage.room))
        await stage.redis.until_asked(1)
        stage.stragglers.follow(stage.room, 5.0, serving=False)
        stage.stragglers.follow(stage.room, 5.0, serving=True)
        stage.stragglers.keep(stage.room)
        stage.redis.may_answer.set()
        await asyncio.wait_for(giving_back, 5)
        await stage.idle()
        assert stage.room.gone and len(stage.replies.of("release_pin")) == 1 and not stage.pumps.resumed

    asyncio.run(scenario())
    assert not caplog.records


def test_a_node_that_ends_leaves_nobody_waiting_for_news() -> None:
    async def scenario() -> None:
        stage = Pins()
        before = asyncio.all_tasks()
        stage.stragglers.follow(stage.room, 5.0, serving=True)
        await until(lambda: len(asyncio.all_tasks() - before) == 3)
        begun = asyncio.all_tasks() - before
        await stage.end()
        done, left = await asyncio.wait(begun, timeout=1)
        assert not left and len(done) == 3

    asyncio.run(scenario())
