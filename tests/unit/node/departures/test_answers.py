"""What other nodes answer in a move."""

from __future__ import annotations

import asyncio

import pytest

from hubq.core.messages import ChildStartProgress, ChildStartResp, HandoverConfirmed
from hubq.node.departures.answers import Answers
from hubq.store.membership import NodeInfo


def test_an_answer_comes_to_the_move_that_it_names_and_only_the_first_counts() -> None:
    async def scenario() -> None:
        answers = Answers()
        mine, other = answers.expect("1", "b", 8), answers.expect("2", "b", 8)
        answers.started(ChildStartResp("b", 0, "1", failed="room-1"))
        answers.started(ChildStartResp("b", 0, "1", failed=""))
        answers.confirmed(HandoverConfirmed("b", 0, "1"))
        answers.confirmed(HandoverConfirmed("b", 0, "unheard of"))
        assert mine.resp.result().failed == "room-1" and mine.confirmed.done()
        assert not other.resp.done() and not other.confirmed.done()

    asyncio.run(scenario())


def test_a_target_that_says_that_it_goes_on_is_waited_for() -> None:
    async def scenario() -> None:
        loop, answers = asyncio.get_running_loop(), Answers()
        answer = answers.expect("1", "b", 8)
        answers.goes_on(ChildStartProgress("b", 0, "1"))  # nobody waits yet
        answers.goes_on(ChildStartProgress("b", 0, "unheard of"))
        waits = asyncio.ensure_future(answer.built(0.2))
        for _ in range(8):
            loop.call_later(0.05 * (_ + 1), answers.goes_on, ChildStartProgress("b", 0, "1"))
        loop.call_later(0.45, answers.started, ChildStartResp("b", 0, "1", failed="room-1"))
        assert (await waits).failed == "room-1"

    asyncio.run(scenario())


def test_a_target_that_is_silent_is_not_waited_for_any_longer() -> None:
    async def scenario() -> None:
        loop, answers = asyncio.get_running_loop(), Answers()
        answer = answers.expect("1", "b", 8)
        began = loop.time()
        loop.call_later(0.05, answers.goes_on, ChildStartProgress("b", 0, "1"))
        with pytest.raises(TimeoutError):
            await answer.built(0.1)
        assert loop.time() - began >= 0.15
        answers.goes_on(ChildStartProgress("b", 0, "1"))  # too late: nothing happens
        assert not answer.resp.done()

    asyncio.run(scenario())


def test_a_watched_target_that_has_left_is_not_waited_for() -> None:
    async def scenario() -> None:
        answers = Answers()
        watched = [answers.expect(str(number), "b", 8, watched=True) for number in range(3)]
        patient = answers.expect("patient", "b", 8)
        answers.members_seen({"b": NodeInfo(8, "up", 0)})
        assert not watched[0].resp.done()
        answers.members_seen({"b": NodeInfo(9, "up", 0)})  # another life of it
        assert all(answer.resp.result().failed == "" and answer.confirmed.done() for answer in watched)
        answers.members_seen({})
        assert not patient.resp.done() and not patient.confirmed.done()

    asyncio.run(scenario())


def test_what_is_forgotten_is_taken_in_no_more_and_later_means_later() -> None:
    async def scenario() -> None:
        answers = Answers()
        gone, kept = answers.expect("1"), answers.expect("2")
        answers.forget(gone)
        answers.forget(kept, after=30.0)
        answers.confirmed(HandoverConfirmed("b", 0, "1"))
        answers.confirmed(HandoverConfirmed("b", 0, "2"))
        assert not gone.confirmed.done() and kept.confirmed.done()

    asyncio.run(scenario())
