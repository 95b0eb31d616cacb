"""A caller has given up: was its call begun? If it waits here, it goes, and never will be."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import LifeEvent
from hubq.core.messages import Withdraw
from hubq.node.held.held_back import AnotherTry
from hubq.node.held.holding import HostedChild
from hubq.node.mailbox.withdrawals import COUNT, Withdrawals
from hubq.store.message import Message
from tests.unit.node.fakes import a_child
from tests.unit.node.movers import Stage, busy


class Outcomes:
    """Remembers which callers were told what."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, str]] = []

    def fail(self, hosted: HostedChild, message: Message, word: str, text: str) -> None:
        self.told.append((message.id, word, text))


class Pumps:
    """Remembers which children went on."""

    def __init__(self) -> None:
        self.resumed: list[str] = []

    def resume(self, hosted: HostedChild) -> None:
        self.resumed.append(hosted.child_id)


def call(number: int, sender: str = "client", child: str = "room-1") -> Message:
    """A call of a client."""
    return Message(f"{number}-0".encode(), "call", child, "say", f"m{number}", sender, 0, b"")


def ask(number: int, sender: str = "client", child: str = "room-1") -> Withdraw:
    """Its caller has given up."""
    return Withdraw(sender, 0, child, f"m{number}")


class Asked(Stage):
    """A shard with ``room-1``, which has calls 5, 6 and 7 in its queue."""

    def __init__(self, kind: type[Child] = Child) -> None:
        super().__init__()
        self.outcomes, self.pumps = Outcomes(), Pumps()
        self.withdrawals = Withdrawals(
            self.group,
            self.background,
            self.register,
            self.cursors,
            self.queue,
            cast(Any, self.pumps),
            cast(Any, self.outcomes),
        )
        self.room = self.child("room-1", kind=kind)
        for number in (5, 6, 7):
            self.room.offer(call(number))

    def waiting(self) -> list[str]:
        """The calls in the queue."""
        return [message.id for message in self.room.queue or ()]


def test_a_call_that_waits_goes_and_its_caller_is_told_how_many_were_before_it() -> None:
    stage = Asked()
    stage.withdrawals.withdraw(ask(6))
    assert stage.waiting() == ["m5", "m7"]
    assert stage.outcomes.told == [("m6", "overdue", "it still waited behind 1 message")]


def test_a_call_that_waits_for_another_try_goes_and_holds_nothing_back_any_more() -> None:
    stage = Asked()
    stage.room.try_again(AnotherTry(stage.room.counts_try(b"5-0"), "OSError: no"))
    stage.withdrawals.withdraw(ask(6))
    assert stage.room.held_back is not None
    stage.withdrawals.withdraw(ask(5))
    assert stage.room.held_back is None
    assert stage.outcomes.told[1] == (
        "m5", "overdue", "it was tried 1 times, undone each time (OSError: no), and waited for another try"
    )  # fmt: skip
    assert stage.pumps.resumed == ["room-1", "room-1"]


def test_the_message_in_hand_is_one_of_those_before_it() -> None:
    async def scenario() -> None:
        stage = Asked()
        busy(stage.room)
        stage.withdrawals.withdraw(ask(5))
        assert stage.outcomes.told == [("m5", "overdue", "it still waited behind 1 message")]
        await stage.end()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "other", [ask(8), ask(6, sender="another"), ask(6, child="room-2"), Withdraw("client", 1, "room-1", "m6")]
)
def test_silence_about_what_is_not_here(other: Withdraw) -> None:
    stage = Asked()
    stage.withdrawals.withdraw(other)
    assert stage.waiting() == ["m5", "m6", "m7"] and not stage.outcomes.told


@pytest.mark.parametrize("why", ["lost", "frozen"])
def test_silence_while_the_token_passes_and_once_it_has_gone(why: str) -> None:
    stage = Asked()
    if why == "lost":
        stage.shard.lose()
    else:
        stage.shard.close_intake()
        stage.shard.freeze()
    stage.withdrawals.withdraw(ask(6))
    assert not stage.outcomes.told


def test_silence_about_a_child_that_begins_anew_this_moment() -> None:
    stage = Asked()
    fresh = a_child(stage.shard, "room-2")
    fresh.offer(call(9, child="room-2"))
    stage.withdrawals.withdraw(ask(9, child="room-2"))
    assert not stage.outcomes.told


def test_what_may_have_been_answered_before_a_crash_is_not_refused() -> None:
    class Interval(Child):
        durability = "interval"

    stage = Asked(Interval)
    stage.shard.replays_before("room-1", 10**12)
    stage.withdrawals.withdraw(ask(6))
    assert stage.waiting() == ["m5", "m6", "m7"] and not stage.outcomes.told


def test_room_in_the_queue_lets_the_next_be_read() -> None:
    stage = Asked()
    stage.cursors.set_behind(stage.shard, "room-1", b"7-0")
    stage.withdrawals.withdraw(ask(6))
    assert stage.cursors.take_to_catch() == [stage.shard]


class Parked(Asked):
    """``room-1`` is parked; its mailbox has these calls, the newest first, in pages."""

    def __init__(self, *pages: list[Message]) -> None:
        super().__init__()
        self.room.drop_queue()
        self.room.moved(LifeEvent.FAILED)
        self.room.park("no network")
        left = list(pages)
        self.replies["XREVRANGE"] = lambda command: left.pop(0)

    async def withdraw(self, request: Withdraw) -> None:
        """Ask, and wait for all that follows."""
        self.withdrawals.withdraw(request)
        await asyncio.sleep(0.01)


def test_a_call_to_a_parked_child_is_looked_for_in_its_mailbox() -> None:
    async def scenario() -> None:
        stage = Parked([call(7), call(6)])
        await stage.withdraw(ask(6))
        assert stage.outcomes.told == [("m6", "overdue", "child 'room-1' is parked: no network")]

    asyncio.run(scenario())


def test_a_long_mailbox_is_read_page_by_page_from_the_newest() -> None:
    async def scenario() -> None:
        full = [call(number) for number in range(1000 + COUNT, 1000, -1)]
        stage = Parked(full, [call(6)])
        await stage.withdraw(ask(6))
        assert [told[0] for told in stage.outcomes.told] == ["m6"]
        first, second = stage.replies.of("XREVRANGE")
        assert first[2] == b"+" and second[2] == b"(1001-0"

    asyncio.run(scenario())


def test_one_that_is_tried_again_meanwhile_tells_itself() -> None:
    async def scenario() -> None:
        stage = Parked([call(6)])
        stage.redis.may_answer.clear()
        stage.withdrawals.withdraw(ask(6))
        await stage.redis.until_asked(1)
        stage.shard.detach("room-1")
        a_child(stage.shard, "room-1")
        stage.redis.may_answer.set()
        await asyncio.sleep(0.01)
        assert not stage.outcomes.told

    asyncio.run(scenario())
