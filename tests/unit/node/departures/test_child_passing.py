"""Single children on their way from their shard here to another node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq.core.messages import HandoverConfirmed
from hubq.core.phase import Phase
from hubq.node.departures.child_passing import ChildPassing, ChildPassings
from hubq.strategies.migration import MigrationTraits
from tests.unit.node.fakes import a_child
from tests.unit.node.movers import Stage, a_record, busy, until


class Passings(Stage):
    """A stage from which children are passed to the node ``b``."""

    def __init__(self, **traits: Any) -> None:
        super().__init__()
        self.answer_moves()
        self.passings = ChildPassings(
            self.group, self.background, self.counters, self.cursors, self.queue, self.committer,
            MigrationTraits(**{"child_migration_timeout": 1.0, **traits}), self.answers, self.departures,
        )  # fmt: skip

    def passing(self, *children: str) -> ChildPassing:
        """One passing."""
        return self.passings.make(self.shard, "b", 8, children)


def test_children_pass_and_their_shard_serves_on_under_the_next_token() -> None:
    async def scenario() -> None:
        stage = Passings()
        goes, neighbour = stage.child("goes"), stage.child("neighbour")
        waiter = stage.shard.next_commit()
        passing = stage.passing("goes")
        phases: list[Phase] = []
        stage.replies["pass_children"] = lambda command: phases.append(stage.shard.phase) or "passed"
        await passing.run()
        assert passing.passed and not passing.failed and phases == [Phase.SPLITTING]
        assert stage.shard.open and list(stage.shard.children) == ["neighbour"] and stage.shard.apart == {"goes"}
        assert stage.shard.owner.token == 4 and stage.standing.token(0) == 4
        assert goes.holding.gone and not goes.holding.active and neighbour.holding is stage.shard
        assert stage.counters.moved_out == 1 and not stage.shard.departing
        assert not waiter.done(), "it waits for a commit of the shard, which goes on"
        assert b"state of goes" in stage.replies.of("pass_children")[0]
        assert not stage.endings.disposed, "the old child is kept until the target serves"
        (asked,) = stage.answers.expected
        stage.answers.confirmed(HandoverConfirmed("b", 0, asked))
        await stage.endings.disposals.until(1)
        assert stage.endings.disposed == [(["goes"], "migrated")] and passing.confirmed.done()
        await stage.end()

    asyncio.run(scenario())


def test_a_target_that_is_gone_leaves_them_where_they_are() -> None:
    async def scenario() -> None:
        stage = Passings()
        hosted = stage.child("goes")
        hosted.waits_for_save(b"5-0")
        stage.replies["pass_children"] = "target_gone"
        passing = stage.passing("goes")
        await passing.run()
        assert passing.failed == {"goes": "b has gone"} and not passing.passed
        assert hosted.holding is stage.shard and stage.shard.phase is Phase.OPEN and not stage.shard.apart
        assert stage.signals.told == [(["goes"], "passive"), (["goes"], "active")]
        assert stage.shard.effects.states == {"goes": b"state of goes"} and stage.shard.effects.done == {
            "goes": [b"5-0"]
        }
        assert hosted.unsaved is None and stage.lives.runs == ["goes"] and stage.pumps.resumed == ["goes"]
        assert stage.shard in stage.cursors.take_to_catch(), "what came meanwhile is read"
        await stage.end()

    asyncio.run(scenario())


def test_fenced_drops_the_shard_and_the_children_that_were_leaving() -> None:
    async def scenario() -> None:
        stage = Passings()
        stage.child("goes"), stage.child("neighbour")
        stage.replies["pass_children"] = "fenced"
        passing = stage.passing("goes")
        await passing.run()
        await stage.endings.disposals.until(2)
        assert passing.failed == {"goes": "its shard has another owner now"} and stage.shard.gone
        assert stage.endings.disposed == [(["neighbour"], "fenced"), (["goes"], "fenced")]
        await stage.end()

    asyncio.run(scenario())


def test_a_shard_that_is_lost_before_they_pass_takes_them_along() -> None:
    async def scenario() -> None:
        stage = Passings(retention=0.01, handover_data_wait=0.01)
        stage.child("goes"), busy(stage.child("late"), in_thread=True)
        passing = stage.passing("goes", "late")
        work = asyncio.ensure_future(passing.run())
        await until(lambda: stage.shard.apart == {"goes", "late"})
        stage.register.drop(stage.shard)  # whoever does this finds no children in it
        await asyncio.wait_for(work, 5)
        await stage.endings.disposals.until(1)
        assert stage.endings.disposed == [(["goes", "late"], "fenced")] and not stage.lives.runs
        assert not stage.replies.of("pass_children")
        await stage.end()

    asyncio.run(scenario())


def test_no_answer_from_the_target_leaves_all_of_them() -> None:
    async def scenario() -> None:
        stage = Passings(child_migration_timeout=0.01)
        stage.replies["send_control"] = "ok"
        hosted = stage.child("goes")
        passing = stage.passing("goes")
        await passing.run()
        assert passing.failed == {"goes": "b did not build it within 0.01 s"} and hosted.holding is stage.shard
        assert not stage.replies.of("pass_children")

    asyncio.run(scenario())


def test_those_who_cannot_start_there_stay_and_the_others_go() -> None:
    async def scenario() -> None:
        stage = Passings(confirm_handover=False)
        stage.cannot_build = "bad"
        bad = stage.child("bad")
        stage.child("good")
        stage.replies["pass_children"] = "passed"
        passing = stage.passing("bad", "good", "ended")
        await passing.run()
        assert passing.failed == {"bad": "cannot start on b: ", "ended": "it has ended"}
        assert bad.holding is stage.shard and stage.shard.apart == {"good"}
        await stage.endings.disposals.until(1)
        assert stage.endings.disposed == [(["good"], "migrated")], "nobody waits for a confirmation"

    asyncio.run(scenario())


def test_a_child_that_waits_for_its_node_goes_without_having_been_here() -> None:
    async def scenario() -> None:
        stage = Passings()
        stage.shard.wait_for_place("waits", a_record(place="b guided waits"))
        stage.replies["pass_children"] = "passed"
        passing = stage.passing("waits")
        await passing.run()
        assert passing.passed and not stage.shard.unplaced and stage.shard.apart == {"waits"}
        await stage.end()

    asyncio.run(scenario())


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_message_that_takes_too_long_is_undone_but_a_thread_cannot_be(in_thread: bool) -> None:
    async def scenario() -> None:
        stage = Passings(retention=0.01, confirm_handover=False)
        hosted = stage.child("goes")
        in_hand = busy(hosted, in_thread=in_thread)
        stage.replies["pass_children"] = "passed"
        passing = stage.passing("goes")
        await passing.run()
        assert passing.passed is not in_thread
        assert in_hand.task is not None and in_hand.task.cancelled() is not in_thread
        if in_thread:
            assert passing.failed == {"goes": "busy for longer than retention=0.01 s"}
            assert hosted.holding is stage.shard
            in_hand.cancel()
        await stage.end()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no"), "its state could not be handed over: ValueError: no"),
        (asyncio.Event(), "its state could not be handed over: nothing within 0.01 s"),
        (asyncio.CancelledError(), "prepare_handover_state was cancelled"),
    ],
)
def test_a_child_whose_state_cannot_be_taken_stays(error: Any, reason: str) -> None:
    async def scenario() -> None:
        stage = Passings(handover_data_wait=0.01)
        hosted = stage.child("goes")
        hosted.runs(asyncio.get_running_loop().create_task(asyncio.Event().wait()))
        stage.saver.hands["goes"] = asyncio.Event() if isinstance(error, asyncio.Event) else error
        passing = stage.passing("goes")
        await passing.run()
        assert passing.failed == {"goes": reason} and hosted.holding is stage.shard and stage.shard.open
        assert not stage.replies.of("pass_children")

    asyncio.run(scenario())


def test_without_a_handover_of_states_what_is_saved_of_them_is_removed() -> None:
    async def scenario() -> None:
        stage = Passings(handover=False)
        stage.child("goes"), a_child(stage.shard, "built")
        stage.replies["pass_children"] = "target_gone"
        passing = stage.passing("goes", "built")
        await passing.run()
        sent = stage.replies.of("pass_children")[0]
        assert stage.saver.asked == [("goes", False)]
        assert sent.count("goes") == 2 and sent.count("built") == 1, "named as leaving; forgotten, if it was asked"
        assert not stage.shard.effects.forgotten and not stage.shard.effects.states, "they stay: nothing is removed"

    asyncio.run(scenario())


def test_what_a_child_has_done_while_it_was_apart_goes_with_it() -> None:
    async def scenario() -> None:
        stage = Passings()
        hosted = stage.child("goes")
        busy(hosted)
        stage.replies["pass_children"] = "passed"
        work = asyncio.ensure_future(stage.passing("goes").run())
        await until(lambda: hosted.holding is not stage.shard)
        hosted.holding.effects.done["goes"] = [b"8-0"]
        hosted.hand_empty()
        await asyncio.wait_for(work, 5)
        assert b"8-0" in stage.replies.of("pass_children")[0] and not stage.shard.effects
        await stage.end()

    asyncio.run(scenario())


def test_a_passing_that_is_cut_short_leaves_the_shard_as_it_was() -> None:
    async def scenario() -> None:
        stage = Passings()
        hosted = stage.child("goes")
        work = asyncio.ensure_future(stage.passing("goes").run())
        await until(lambda: stage.shard.phase is Phase.SPLITTING)
        work.cancel()
        await asyncio.wait([work])
        assert stage.shard.phase is Phase.OPEN and hosted.holding is stage.shard and not stage.shard.departing

    asyncio.run(scenario())
