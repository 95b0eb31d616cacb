"""The routine by which all four ways of leaving go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import LifeEvent
from hubq.core.phase import Phase
from hubq.errors import RedisRefused, RedisUnavailable
from hubq.node.departures.boundaries import at_boundaries, in_thread, undo
from hubq.node.departures.collecting import Interrupted, NoState
from hubq.node.departures.departure import Outcome, give_back
from hubq.node.held.holding import Holding, HostedChild
from hubq.store.command import Command, plain
from hubq.store.effects import Effects
from tests.unit.node.fakes import a_child, a_holding
from tests.unit.node.movers import Stage, busy, running


class OneWay:
    """A way of leaving that writes down what it is asked for."""

    what = "leaving"

    def __init__(self, holding: Holding, has_target: bool = True) -> None:
        self.holding, self.has_target = holding, has_target
        self.asked: list[str] = []
        self.back: Effects | None = None
        self.apart: list[HostedChild] = []

    def parts(self) -> Sequence[Holding]:
        assert not self.holding.frozen
        self.asked.append("parts")
        return [self.holding]

    def packed(self, effects: Effects) -> Effects:
        assert self.holding.frozen
        self.asked.append("packed")
        return effects

    def command(self, effects: Effects) -> Command[str]:
        self.asked.append("command")
        return plain("LEAVE", self.holding.owner.token, *sorted(effects.done), read=str)

    def given(self) -> None:
        self.asked.append("given")

    async def stays(self, effects: Effects, refused: int) -> None:
        self.asked.append("stays" if not refused else "refused")
        self.back = effects

    def forfeited(self) -> list[HostedChild]:
        self.asked.append("forfeited")
        return self.apart


def ready(has_target: bool = True) -> tuple[Stage, OneWay]:
    """A closed shard with one child and something to commit."""
    stage = Stage()
    stage.child()
    stage.shard.effects.done["room-1"] = [b"5-0"]
    stage.shard.close_intake()
    return stage, OneWay(stage.shard, has_target)


def test_given_away() -> None:
    async def scenario() -> None:
        stage, way = ready()
        stage.replies["LEAVE"] = "passed"
        assert await stage.departures.give(way) is Outcome.GIVEN
        assert way.asked == ["parts", "packed", "command", "given"]
        assert stage.signals.told == [(["room-1"], "passive")] and not stage.shard.active
        assert stage.replies.of("LEAVE") == [("LEAVE", 3, "room-1")] and not stage.shard.effects

    asyncio.run(scenario())


def test_nothing_is_packed_while_a_commit_is_under_way() -> None:
    async def scenario() -> None:
        stage, way = ready()
        stage.redis.may_answer.clear()
        stage.queue.changed()
        commit = asyncio.ensure_future(stage.committer.flush())
        await stage.redis.until_asked(1)
        giving = asyncio.ensure_future(stage.departures.give(way))
        await asyncio.sleep(0)
        stage.shard.effects.done["room-2"] = [b"6-0"]
        assert "packed" not in way.asked
        stage.replies["commit_shards"], stage.replies["LEAVE"] = ["ok"], "passed"
        stage.redis.may_answer.set()
        await asyncio.wait_for(asyncio.gather(commit, giving), 5)
        assert stage.replies.of("LEAVE") == [("LEAVE", 3, "room-2")]

    asyncio.run(scenario())


def test_a_target_that_is_gone_keeps_it_here_under_a_new_token() -> None:
    async def scenario() -> None:
        stage, way = ready()
        stage.replies["LEAVE"] = "target_gone"
        assert await stage.departures.give(way) is Outcome.STAYS
        assert way.back is not None and way.back.done == {"room-1": [b"5-0"]}
        assert stage.shard.owner.token == 4, "an earlier try must not arrive late"
        assert stage.redis.names() == ["LEAVE", "renew_tokens"]

    asyncio.run(scenario())


@pytest.mark.parametrize("has_target", [True, False])
def test_what_redis_does_not_take_stays_or_is_adopted_again(has_target: bool) -> None:
    async def scenario() -> None:
        stage, way = ready(has_target)
        large = b"x" * (2 * 1024 * 1024)
        way.command = lambda effects: plain("LEAVE", large, read=str)  # type: ignore[method-assign]
        stage.replies["LEAVE"] = RedisUnavailable("the connection was lost")
        if has_target:
            assert await stage.departures.give(way) is Outcome.STAYS
            assert way.asked[-1] == "refused" and way.back is not None and not stage.shard.gone
        else:
            with pytest.raises(RedisRefused, match="does not take a value of 2097152 bytes"):
                await stage.departures.give(way)
            assert stage.shard.gone
        assert stage.shard.owner.token == 4, "an earlier try must not arrive late"
        assert stage.redis.names() == ["LEAVE", "EXISTS"] * 3 + ["renew_tokens"]
        assert stage.sizes.state < len(large)

    asyncio.run(scenario())


def test_nothing_is_given_while_its_last_commit_waits() -> None:
    async def scenario() -> None:
        stage, way = ready()
        stage.shard.hold_up()
        with pytest.raises(RedisRefused, match="its last commit waits"):
            await stage.departures.give(way)
        assert not way.asked and not stage.shard.frozen and not stage.shard.gone and stage.shard.effects

    asyncio.run(scenario())


def test_while_redis_is_away_a_large_value_is_sent_again() -> None:
    async def scenario() -> None:
        stage, way = ready()
        way.command = lambda effects: plain("LEAVE", b"x" * (2 * 1024 * 1024), read=str)  # type: ignore[method-assign]
        away: list[Any] = [RedisUnavailable("away")] * 4
        stage.replies["LEAVE"] = lambda command: away.pop() if away else "passed"
        stage.replies["EXISTS"] = RedisUnavailable("away")
        assert await stage.departures.give(way) is Outcome.GIVEN

    asyncio.run(scenario())


def test_lost_while_the_token_was_renewed() -> None:
    async def scenario() -> None:
        stage, way = ready()
        stage.replies["LEAVE"] = "target_gone"
        stage.replies["renew_tokens"] = lambda command: stage.register.drop(stage.shard) or "fenced"
        assert await stage.departures.give(way) is Outcome.FENCED
        assert "stays" not in way.asked and way.asked[-1] == "forfeited"

    asyncio.run(scenario())


def test_fenced_drops_it_and_what_was_taken_out_of_it() -> None:
    async def scenario() -> None:
        stage, way = ready()
        way.apart = [a_child(a_holding(pinned="room-2"), "room-2")]
        stage.replies["LEAVE"] = "fenced"
        assert await stage.departures.give(way) is Outcome.FENCED
        await stage.endings.disposals.until(2)
        assert stage.endings.disposed == [(["room-1"], "fenced"), (["room-2"], "fenced")]
        assert stage.shard.gone and stage.events.added == [("fenced", {"shard": 0, "child": ""})]

    asyncio.run(scenario())


@pytest.mark.parametrize("word", ["released", "fenced"])
def test_without_a_target_every_answer_says_that_it_has_gone(word: str) -> None:
    async def scenario() -> None:
        stage, way = ready(has_target=False)
        stage.replies["LEAVE"] = word
        assert await stage.departures.give(way) is Outcome.GIVEN
        assert not stage.events.added, "a repeated script may be told fenced: nobody else is known to own it"

    asyncio.run(scenario())


def test_it_is_repeated_until_redis_answers() -> None:
    async def scenario() -> None:
        stage, way = ready()
        tries = iter([RedisUnavailable("away"), RedisUnavailable("away"), "passed"])
        stage.replies["LEAVE"] = lambda command: next(tries)
        assert await asyncio.wait_for(stage.departures.give(way), 5) is Outcome.GIVEN
        assert len(stage.replies.of("LEAVE")) == 3 and way.asked.count("command") == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("why", ["lease", "loss"])
def test_it_is_not_repeated_when_others_may_own_it(why: str) -> None:
    async def scenario() -> None:
        stage, way = ready()

        def away(command: Any) -> RedisUnavailable | str:
            if len(stage.replies.of("LEAVE")) > 1:
                return "passed"  # nobody is to hear it
            if why == "lease":
                stage.clock.now += 6.0
            else:
                stage.register.drop(stage.shard)
            return RedisUnavailable("away")

        stage.replies["LEAVE"] = away
        assert await asyncio.wait_for(stage.departures.give(way), 5) is Outcome.FENCED
        assert len(stage.replies.of("LEAVE")) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("has_target", [True, False])
@pytest.mark.parametrize("refuses", ["LEAVE", "renew_tokens"])
def test_what_raises_is_given_up_and_adopted_again(has_target: bool, refuses: str) -> None:
    async def scenario() -> None:
        stage, way = ready(has_target)
        stage.replies["LEAVE"] = "target_gone"
        stage.replies[refuses] = ValueError("OOM command not allowed")
        with pytest.raises(ValueError, match="OOM"):
            await stage.departures.give(way)
        assert stage.shard.gone and way.asked[-1] == "forfeited" and "given" not in way.asked
        assert stage.standing.token(0) < stage.shard.owner.token, "the next look adopts it again"

    asyncio.run(scenario())


# -- collect and close -------------------------------------------------------------------------------------------------


class Asked(Child):
    """A child with a version of its own of what is handed over."""

    def prepare_handover_state(self) -> Any:
        return None


def test_running_children_without_a_message_are_asked_all_at_once() -> None:
    async def scenario() -> None:
        stage = Stage()
        for name in ("good", "saved", "slow", "bad", "cancelled", "inline"):
            stage.child(name, kind=Child if name in ("saved", "inline") else Asked)
        busy(stage.child("busy"), stubborn=True)
        a_child(stage.shard, "built")
        stage.saver.hands = {
            "saved": None, "slow": asyncio.Event(), "bad": ValueError("no"), "cancelled": asyncio.CancelledError(),
            "inline": KeyError("k"),
        }  # fmt: skip
        collected = await stage.departures.collect(stage.shard.children.values(), True, 0.01)
        assert collected.states == {"good": b"state of good"} and collected.asked == {"good", "saved"}
        kinds = {hosted.child_id: type(error) for hosted, error in collected.failed.items()}
        assert kinds == {"inline": KeyError, "slow": NoState, "bad": ValueError, "cancelled": Interrupted}
        assert {name for name, _ in stage.saver.asked} == {"good", "saved", "slow", "bad", "cancelled", "inline"}

    asyncio.run(scenario())


def test_only_children_that_were_asked_give_their_messages_away() -> None:
    async def scenario() -> None:
        stage = Stage()
        asked, failed = stage.child("asked"), stage.child("failed")
        asked.waits_for_save(b"5-0"), failed.waits_for_save(b"6-0")
        stage.saver.hands = {"failed": ValueError("no")}
        collected = await stage.departures.collect([asked, failed], True, 1.0)
        handed = collected.effects([asked, failed], ["asked"])
        assert handed.done == {"asked": [b"5-0"]} and handed.forgotten == ["asked"]

    asyncio.run(scenario())


def test_waiting_for_boundaries_and_undoing_what_is_late() -> None:
    async def scenario() -> None:
        holding = a_holding()
        idle, late, starting = (a_child(holding, name) for name in ("idle", "late", "starting"))
        running(idle), running(late)
        starting.moved(LifeEvent.RESTORED)
        in_hand = busy(late, in_thread=True)
        await asyncio.sleep(0)
        assert in_thread(late) and not in_thread(idle)
        assert await at_boundaries([idle, late, starting], 0.01) == [late, starting]
        await undo([late])
        assert not late.busy and in_hand.task is not None and in_hand.task.cancelled()
        assert await at_boundaries([], 1.0) == []

    asyncio.run(scenario())


def test_passive_is_told_once() -> None:
    async def scenario() -> None:
        stage = Stage()
        stage.child()
        await stage.departures.become_passive([stage.shard])
        await stage.departures.become_passive([stage.shard])
        assert stage.signals.told == [(["room-1"], "passive")]

    asyncio.run(scenario())


def test_those_who_go_on_are_those_who_run() -> None:
    stage = Stage()
    built = a_child(stage.shard, "built")
    stage.departures.go_on([stage.child("runs"), built])
    assert stage.lives.runs == ["runs"] and stage.pumps.resumed == ["runs"]


@pytest.mark.parametrize("forgotten", [[], ["room-1"]])
def test_what_was_not_written_comes_before_what_was_collected_since(forgotten: list[str]) -> None:
    holding = a_holding()
    hosted = a_child(holding)
    hosted.waits_for_save(b"6-0")
    holding.effects.done["room-1"] = [b"7-0"]
    handed = Effects(states={"room-1": b"new"}, done={"room-1": [b"6-0"]}, forgotten=forgotten)
    give_back(holding, Effects(done={"room-1": [b"5-0"]}), handed, [hosted])
    if forgotten:  # the child was to start fresh there: here it goes on, and nothing of it is written
        assert holding.effects.done == {"room-1": [b"5-0", b"7-0"]} and not holding.effects.states
        assert hosted.unsaved == [b"6-0"] and not holding.effects.forgotten
    else:
        assert holding.effects.done == {"room-1": [b"5-0", b"6-0", b"7-0"]} and holding.effects.states
        assert hosted.unsaved is None
    assert holding.phase is Phase.OPEN


def test_a_departure_that_is_cancelled_waits_for_nothing_any_more() -> None:
    async def scenario() -> None:
        stage = Stage()
        asked, late = stage.child("asked"), stage.child("late")
        asked.kind = type("Slow", (Child,), {"prepare_handover_state": lambda self: None})
        stage.saver.hands["asked"] = asyncio.Event()
        in_hand = busy(late)
        before = asyncio.all_tasks()
        collecting = asyncio.ensure_future(stage.departures.collect([asked], True, 60.0))
        waiting = asyncio.ensure_future(at_boundaries([late], 60.0))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        begun = asyncio.all_tasks() - before
        assert len(begun) == 4 and stage.saver.asked == [("asked", True)]
        collecting.cancel()
        waiting.cancel()
        done, left = await asyncio.wait(begun, timeout=1)
        assert not left and all(task.cancelled() for task in done)
        in_hand.cancel()

    asyncio.run(scenario())
