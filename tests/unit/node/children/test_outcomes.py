"""What a message that is done leaves in the next commit."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import LifeEvent
from hubq.node.children.outcomes import UNBEGUN, error_payload, leaves_no_trace, may_be_a_replay
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.in_hand import InHand
from hubq.store.codec import encode
from hubq.store.message import Message
from hubq.store.owners import Owner
from tests.unit.node.household import Household, call, cast_of, replies


class Room(Child):
    pass


class Tally(Child):
    durability = "interval"
    save_after = 1000


class Kept(Child):
    durability = "interval"
    on_error = "keep"


class Witness:
    """A recorder that remembers what stood in the effects when it was asked."""

    records = True

    def __init__(self, answer: bool = True) -> None:
        self.answer = answer
        self.seen: list[tuple[str, str, bool]] = []

    def finished(self, hosted: HostedChild, message: Message, word: str) -> bool:
        self.seen.append((message.method, word, hosted.child_id in hosted.holding.effects.states))
        return self.answer

    def state(self, hosted: HostedChild) -> None: ...

    def begun(self, hosted: HostedChild) -> None: ...

    def ended(self, holding: Holding, child: str, start_id: str) -> None: ...


def done(message: Message, payload: bytes = b"", state: bytes | None = None) -> InHand:
    in_hand = InHand(message)
    in_hand.succeeded(payload, state)
    return in_hand


def test_message_reply_and_state_go_together() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            home.outcomes.settle(hosted, done(call("post"), encode(7), b"state"))
            effects = home.shard.effects
            assert effects.done == {"room-1": [b"5-0"]} and effects.states == {"room-1": b"1 attributes 0\nstate"}
            assert replies(effects) == [("ok", 7)]
            home.outcomes.settle(hosted, done(cast_of("post", entry="6-0")))
            assert effects.done == {"room-1": [b"5-0", b"6-0"]} and len(replies(effects)) == 1

    asyncio.run(scenario())


def test_settling_marks_the_holding_and_says_nothing_yet() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            home.commit()
            home.outcomes.settle(hosted, done(cast_of("post")))
            wait = asyncio.create_task(home.queue.waits())
            await asyncio.sleep(0)
            assert not wait.done()  # a pump says when: many messages are one commit
            home.queue.due()
            await wait
            assert home.queue.take() == [home.shard]

    asyncio.run(scenario())


def test_the_recorder_sees_the_state_and_may_keep_all_from_redis() -> None:
    async def scenario() -> None:
        witness = Witness()
        async with Household(Room, recorder=witness) as home:
            hosted = home.child(Room)
            home.outcomes.settle(hosted, done(call("post"), state=b"state"))
            assert witness.seen == [("post", "ok", True)]
            home.commit()
            witness.answer = False
            home.outcomes.settle(hosted, done(call("post", entry="6-0")))
            assert not home.shard.effects and home.queue.take() == []

    asyncio.run(scenario())


@pytest.mark.parametrize("word", ["ok", "failed", *sorted(UNBEGUN)])
def test_an_interval_child_keeps_a_message_until_its_state_is_saved_if_it_left_a_trace(word: str) -> None:
    async def scenario() -> None:
        async with Household(Tally, Kept) as home:
            rolled_back, kept = home.child(Tally), home.child(Kept, child="room-2")
            for hosted in (rolled_back, kept):
                in_hand = InHand(call("post"))
                in_hand.failed(word, b"")
                home.outcomes.settle(hosted, in_hand)
            leaves = {"ok": {"room-1", "room-2"}, "failed": {"room-2"}}.get(word, set())
            assert {h.child_id for h in (rolled_back, kept) if h.unsaved} == leaves
            assert set(home.shard.effects.done) == {"room-1", "room-2"} - leaves
            assert leaves_no_trace(kept, word) == ("room-2" not in leaves)

    asyncio.run(scenario())


def test_an_interval_child_that_has_ended_or_is_a_pin_with_copies_keeps_nothing() -> None:
    async def scenario() -> None:
        async with Household(Tally) as home:
            ended = home.child(Tally)
            ended.moved(LifeEvent.END)
            pin = Holding(1, Owner("a", 7, 3), Witness(), "room-2")
            pinned = home.build(Tally, child="room-2", holding=pin)
            for hosted in (ended, pinned):
                home.outcomes.settle(hosted, done(cast_of("post")))
                assert hosted.unsaved is None and hosted.holding.effects.done == {hosted.child_id: [b"5-0"]}

    asyncio.run(scenario())


def test_a_failure_is_told_to_who_waits_for_it() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            home.outcomes.fail(hosted, call("post"), "overdue", "too late", "Overdue", "trace")
            home.outcomes.fail(hosted, cast_of("post", entry="6-0"), "overdue", "too late")
            ((word, text),) = replies(home.shard.effects)
            assert word == "overdue"
            assert json.loads(text) == {"type": "Overdue", "message": "too late", "traceback": "trace"}
            assert home.shard.effects.done == {"room-1": [b"5-0", b"6-0"]}

    asyncio.run(scenario())


def test_an_error_with_text_that_is_no_utf8_can_be_sent() -> None:
    assert error_payload(cast_of("post"), "x") == b""
    assert json.loads(error_payload(call("post"), "no \ud800 text"))["message"] == "no ? text"


def test_a_message_for_nobody_is_refused() -> None:
    async def scenario() -> None:
        async with Household() as home:
            home.outcomes.refuse_unknown(home.shard, call("post"))
            home.outcomes.refuse_unknown(home.shard, cast_of("post", entry="6-0"))
            await asyncio.wait_for(home.queue.waits(), 5)
            home.commit()
            (effects,) = home.committed
            assert effects.done == {"room-1": [b"5-0", b"6-0"]}
            ((word, text),) = replies(effects)
            assert word == "unknown_child" and "'room-1' was stopped before this message's turn" in text

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("until", "entry", "deadline", "expected"),
    [
        (None, "5-0", 0, False),  # it was here all the time
        (100.0, "99-0", 0, True),
        (100.0, "100-0", 0, False),  # sent after any other node may have answered it
        (100.0, "99-0", 50, True),
        (100.0, "99-0", 49, False),  # its deadline passed before there was any node
    ],
)
def test_what_may_be_a_replay(until: float | None, entry: str, deadline: int, expected: bool) -> None:
    async def scenario() -> Any:
        async with Household(Tally) as home:
            hosted = home.child(Tally)
            if until is not None:
                home.shard.replays_before("room-1", until)
            return may_be_a_replay(hosted, call("post", entry=entry, deadline=deadline), 50)

    assert asyncio.run(scenario()) is expected
