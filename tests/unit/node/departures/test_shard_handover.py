"""A shard on its way to another node, as the strategies of migration order it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.core.handover import Source
from hubq.core.messages import HandoverConfirmed
from hubq.core.phase import Phase
from hubq.core.wish import Wish
from hubq.node.departures.moves import Moves
from hubq.node.departures.shard_handovers import ShardHandovers
from hubq.node.departures.turns import CLOSED_AT_ONCE, Turns
from hubq.node.held.holding import Holding
from hubq.node.held.recorder import NoRecorder
from hubq.strategies.migration import ColdSwap, HotSwap
from tests.unit.node.movers import Stage, a_record, busy, until


class Straggling:
    """Remembers which pins were to follow, and which were to stay."""

    def __init__(self) -> None:
        self.following: dict[str | None, bool] = {}
        self.kept: list[str | None] = []

    def follow(self, pin: Holding, retention: float, *, serving: bool) -> None:
        self.following[pin.pinned] = serving

    def keep(self, pin: Holding) -> None:
        self.kept.append(pin.pinned)


class Rebuilds:
    """Remembers what was to be rebuilt."""

    def __init__(self) -> None:
        self.rebuilt: list[Holding] = []

    def rebuild(self, holding: Holding) -> None:
        self.rebuilt.append(holding)


class Handovers(Stage):
    """A stage from which shards are handed over to the node ``b``."""

    def __init__(self, migration: Any = None) -> None:
        super().__init__()
        self.answer_moves()
        self.straggling, self.rebuilds = Straggling(), Rebuilds()
        self.moves, self.closing = Moves(self.background, self.plan_due), Turns(CLOSED_AT_ONCE)
        self.handovers = ShardHandovers(
            self.group, self.background, cast(Any, self.events), self.hooks, self.counters, self.plan_due,
            self.register, self.cursors, self.queue, cast(Any, self.saver), self.wishes,
            migration or HotSwap(confirm_handover=False), self.answers, self.moves, self.departures, self.closing,
            cast(Any, self.straggling), cast(Any, self.rebuilds),
        )  # fmt: skip

    async def hand_over(self) -> None:
        """From beginning to end."""
        await asyncio.wait_for(self.handovers.begin(self.shard, "b", 8), 5)


def test_a_hot_swap() -> None:
    async def scenario() -> None:
        stage = Handovers(HotSwap())
        stage.child("one"), stage.child("two").waits_for_save(b"5-0")
        waiter = stage.shard.next_commit()
        stage.replies["pass_token"] = "passed"
        task = stage.handovers.begin(stage.shard, "b", 8)
        assert stage.shard.in_motion and list(stage.moves.moving) == [0]
        await stage.redis.until_asked(2)
        await until(lambda: stage.register.get(0) is None)
        assert stage.standing.token(0) == 4 and stage.shard.gone and waiter.cancelled() and not stage.shard.active
        assert not stage.endings.disposed, "they are kept until the target serves"
        (asked,) = stage.answers.expected
        stage.answers.confirmed(HandoverConfirmed("b", 0, asked))
        await asyncio.wait_for(task, 5)
        assert stage.endings.disposed == [(["one", "two"], "migrated")] and stage.counters.moved_out == 1
        assert not stage.answers.expected and not stage.moves.moving
        (sent,) = stage.replies.of("pass_token")
        assert b"state of one" in sent and b"5-0" in sent and "b" in sent

    asyncio.run(scenario())


def test_who_cannot_go_is_pinned_here_under_a_token_above_the_shards() -> None:
    async def scenario() -> None:
        stage = Handovers()
        for name in ("goes", "unbuilt", "no-state", "wanted"):
            stage.child(name)
        at_work = busy(stage.child("busy"), stubborn=True)
        stage.cannot_build = "unbuilt"
        stage.saver.hands["no-state"] = ValueError("no")
        stage.replies["HGETALL " + stage.keys.pins] = {"wanted": Wish("a", "moved")}
        await stage.wishes.refresh(1)
        stage.shard.guide("wanted")
        stage.replies["pass_token"] = "passed"
        await stage.hand_over()
        assert stage.straggling.following == {"busy": False, "unbuilt": True, "no-state": True}
        assert stage.straggling.kept == ["wanted"]
        pins = {pin.pinned: pin for pin in stage.register.all()}
        assert set(pins) == {"busy", "unbuilt", "no-state", "wanted"}
        assert all(pin.owner.token == 4 and pin.phase is Phase.CLOSED for pin in pins.values())
        assert set(stage.cursors.take_to_catch()) == set(pins.values()), "each reads what came meanwhile by itself"
        assert not stage.saver.saved, "nobody follows: msk is as new as it need be"
        assert stage.endings.disposed == [(["goes"], "migrated")]
        sent = stage.replies.of("pass_token")[0]
        assert "it is busy with a message" in sent and "its state could not be handed over: no" in sent
        assert at_work.task is not None
        at_work.task.cancel()

    asyncio.run(scenario())


def test_a_node_that_leaves_keeps_nobody_for_being_wanted_here() -> None:
    async def scenario() -> None:
        stage = Handovers()
        stage.child("wanted")
        stage.replies["HGETALL " + stage.keys.pins] = {"wanted": Wish("a", "moved")}
        await stage.wishes.refresh(1)
        stage.shard.guide("wanted")
        stage.standing.drain()
        stage.replies["pass_token"] = "passed"
        await stage.hand_over()
        assert not stage.straggling.kept and stage.endings.disposed == [(["wanted"], "migrated")]

    asyncio.run(scenario())


def test_pins_take_the_token_that_the_shard_has_when_it_goes() -> None:
    async def scenario() -> None:
        stage = Handovers()
        at_work = busy(stage.child("busy"), stubborn=True)
        stage.child("goes")
        stage.replies["pass_token"] = "passed"
        announce = stage.signals.announce

        async def raised(hosteds: Any, mode: str) -> None:
            await announce(hosteds, mode)
            await stage.committer.renew([stage.shard])  # as a commit that is repeated does

        stage.signals.announce = raised  # type: ignore[method-assign]
        await stage.hand_over()
        (pin,) = stage.register.all()
        assert pin.owner.token == 5 and stage.standing.token(0) == 5
        assert at_work.task is not None
        at_work.task.cancel()

    asyncio.run(scenario())


def test_a_target_that_is_gone_keeps_the_shard_open_with_all_its_children() -> None:
    async def scenario() -> None:
        stage = Handovers()
        for name in ("one", "unbuilt"):
            stage.child(name)
        stage.cannot_build = "unbuilt"
        stage.replies["pass_token"] = "target_gone"
        await stage.hand_over()
        assert stage.shard.open and set(stage.shard.children) == {"one", "unbuilt"} and not stage.shard.apart
        assert stage.shard.active and not stage.straggling.following and not stage.shard.in_motion
        assert stage.shard.effects.states == {"one": b"state of one"}, "what was taken is saved all the same"
        assert sorted(stage.lives.runs) == ["one", "unbuilt"] == sorted(stage.pumps.resumed)
        await stage.end()

    asyncio.run(scenario())


def test_fenced_drops_pins_and_shard() -> None:
    async def scenario() -> None:
        stage = Handovers()
        stage.child("one"), stage.child("unbuilt")
        stage.cannot_build = "unbuilt"
        stage.replies["pass_token"] = "fenced"
        await stage.hand_over()
        await stage.endings.disposals.until(2)
        assert stage.endings.disposed == [(["one"], "fenced"), (["unbuilt"], "fenced")]
        assert not stage.register.all() and not stage.straggling.following
        await stage.end()

    asyncio.run(scenario())


def test_no_answer_from_the_target_leaves_the_shard_as_it_is() -> None:
    async def scenario() -> None:
        stage = Handovers(HotSwap(child_migration_timeout=0.01))
        stage.child("one")
        stage.replies["send_control"] = "ok"
        await stage.hand_over()
        assert stage.shard.open and stage.events.added == [("handover_overdue", {"shard": 0, "target": "b"})]

    asyncio.run(scenario())


def test_a_target_that_leaves_is_not_waited_for() -> None:
    async def scenario() -> None:
        stage = Handovers()
        stage.child("one")
        stage.replies["send_control"] = "ok"
        stage.replies["pass_token"] = "target_gone"
        task = stage.handovers.begin(stage.shard, "b", 8)
        await stage.redis.until_asked(1)
        stage.answers.members_seen({})
        await asyncio.wait_for(task, 5)
        assert stage.shard.open and len(stage.replies.of("pass_token")) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("word", ["passed", "target_gone"])
def test_a_cold_swap_stops_its_children_first_and_builds_them_anew_if_the_target_is_gone(word: str) -> None:
    async def scenario() -> None:
        stage = Handovers(ColdSwap())
        stage.child("one")
        stage.replies["pass_token"] = word
        await stage.hand_over()
        assert stage.endings.disposed == [(["one"], "migrated")], "once"
        assert [told for told in stage.signals.told if told[1] == "passive"] == [(["one"], "passive")]
        if word == "target_gone":
            assert stage.rebuilds.rebuilt == [stage.shard] and not stage.shard.open
        else:
            assert not stage.rebuilds.rebuilt and stage.shard.gone
        await stage.end()

    asyncio.run(scenario())


def test_the_next_shard_has_its_turn_when_this_one_is_nearly_there() -> None:
    async def scenario() -> None:
        stage = Handovers(HotSwap())
        stage.child("one")
        stage.replies["pass_token"] = "passed"
        last: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.02, last.set_result, None)
        await stage.closing.nearly(last, 1)
        task = stage.handovers.begin(stage.shard, "b", 8)
        await until(lambda: stage.shard.gone)
        assert await stage.closing.take(5.0, 5.0)
        assert not task.done() and not stage.endings.disposed, "the target has not confirmed it"
        (asked,) = stage.answers.expected
        stage.answers.confirmed(HandoverConfirmed("b", 0, asked))
        await asyncio.wait_for(task, 5)
        assert not await stage.closing.take(0.0, 0.0), "the turn was given back once"

    asyncio.run(scenario())


def test_a_strategy_that_raises_leaves_the_shard_open_and_gives_its_turn_back() -> None:
    class Raises(HotSwap):
        async def handle_migration(self, handover: Any) -> None:
            await handover.close_intake(0.0)
            assert handover.state is Source.COLLECTING
            raise RuntimeError("meant")

    async def scenario() -> None:
        stage = Handovers(Raises())
        stage.child("one")
        await stage.hand_over()
        assert stage.shard.open and stage.pumps.resumed == ["one"]
        assert await stage.closing.take(0.1, 0.1)

    asyncio.run(scenario())


def test_a_strategy_that_raises_cancelled_error_leaves_the_shard_open(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(HotSwap):
        async def handle_migration(self, handover: Any) -> None:
            await handover.close_intake(0.0)
            raise asyncio.CancelledError("of a task of its own")

    async def scenario() -> None:
        stage = Handovers(Odd())
        stage.child("one")
        await stage.hand_over()
        assert stage.shard.open and stage.pumps.resumed == ["one"] and not stage.moves.moving
        assert await stage.closing.take(0.0, 0.0)
        assert "CancelledError" in caplog.text

    asyncio.run(scenario())


def test_a_node_that_ends_opens_no_shard_again() -> None:
    async def scenario() -> None:
        stage = Handovers()
        stage.child("one")
        stage.saver.hands["one"] = asyncio.Event()
        stage.shard.children["one"].runs(asyncio.ensure_future(asyncio.sleep(0)))
        task = stage.handovers.begin(stage.shard, "b", 8)
        await until(lambda: bool(stage.saver.asked))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() and not stage.shard.open

    asyncio.run(scenario())


def test_the_target_is_told_which_children_have_a_pin_already() -> None:
    async def scenario() -> None:
        stage = Handovers()
        stage.child("one"), stage.pin("pinned")
        stage.shard.wait_for_place("waits", a_record())
        stage.replies["pass_token"] = "passed"
        await stage.hand_over()
        (sent,) = stage.replies.of("pass_token")
        assert "pinned" in sent and "waits" not in sent

    asyncio.run(scenario())


def test_with_followers_a_pin_is_saved_since_no_follower_takes_a_pin_over() -> None:
    class Followed(NoRecorder):
        records = True

    async def scenario() -> None:
        stage = Handovers()
        stage.shard.recorder = Followed()
        stage.child("goes"), stage.child("unbuilt")
        stage.cannot_build = "unbuilt"
        stage.replies["pass_token"] = "passed"
        await stage.hand_over()
        assert stage.saver.saved == ["unbuilt"]

    asyncio.run(scenario())


def test_a_node_that_is_evicted_before_it_hears_that_the_token_has_passed_holds_no_pins() -> None:
    async def scenario() -> None:
        stage = Handovers()
        stage.child("goes"), stage.child("unbuilt")
        stage.cannot_build = "unbuilt"

        def evicted(command: Any) -> str:
            stage.register.drop(stage.shard)
            return "passed"

        stage.replies["pass_token"] = evicted
        await stage.hand_over()
        await stage.endings.disposals.until(2)
        assert not stage.register.all() and sorted(stage.endings.disposed) == [
            (["goes"], "migrated"), (["unbuilt"], "fenced")
        ]  # fmt: skip
        await stage.end()

    asyncio.run(scenario())


@pytest.mark.parametrize("passes", [False, True])
def test_a_strategy_that_raises_when_the_shard_was_lost_leaves_nobody_running_in_its_pins(passes: bool) -> None:
    class Raises(HotSwap):
        async def handle_migration(self, handover: Any) -> None:
            await handover.build_at_target(1.0)
            await handover.close_intake(0.0)
            if passes:
                await handover.collect_states(1.0, True)
                assert await handover.pass_token()
            else:
                stage.register.drop(stage.shard)
            raise RuntimeError("meant")

    async def scenario() -> None:
        nonlocal stage
        stage = Handovers(Raises())
        stage.child("goes"), stage.child("unbuilt")
        stage.cannot_build = "unbuilt"
        stage.replies["pass_token"] = "passed"
        await stage.hand_over()
        await stage.idle()
        if passes:
            assert [pin.pinned for pin in stage.register.all()] == ["unbuilt"] and not stage.endings.disposed
        else:
            assert stage.endings.disposed == [(["unbuilt"], "fenced")]

    stage: Handovers = cast(Any, None)
    asyncio.run(scenario())
