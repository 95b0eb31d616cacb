"""A call is not wanted any more: it is undone, not begun, or done; and who asks is told by the commit that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from hubq.core.child import Child
from hubq.core.classes import as_child_class
from hubq.core.lifecycle import LifeEvent
from hubq.core.messages import Cancel
from hubq.core.method_marks import read
from hubq.node.held.holding import HostedChild
from hubq.node.held.strangers import Strangers
from hubq.node.mailbox.cancellations import COUNT, PATIENCE, Cancellations
from hubq.store.message import Message
from hubq.store.replies import read_reply
from tests.unit.node.fakes import REDIS_MS, Seen
from tests.unit.node.household import Household, call
from tests.unit.node.movers import until


class Press(Child):
    begun: ClassVar[Seen]
    may_end: ClassVar[asyncio.Event]

    def __init__(self) -> None:
        self.pages = 0

    async def render(self) -> int:
        self.pages += 1
        self.begun.again()
        await self.may_end.wait()
        return self.pages

    async def stubborn(self) -> int:
        self.pages += 1
        self.begun.again()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            return 99
        return 0

    async def quick(self) -> int:
        self.pages += 1
        return self.pages

    @read
    async def look(self) -> int:
        self.begun.again()
        await self.may_end.wait()
        return self.pages


class Keeping(Press):
    on_error = "keep"


class Seldom(Press):
    durability = "interval"
    save_every = 60.0


class Play(Household):
    """A press, and cancellations of its calls. ``mailbox`` is what is in Redis."""

    def __init__(self) -> None:
        super().__init__()
        self.mailbox: list[Message] = []
        self.redis.answer = lambda command: list(reversed(self.mailbox))
        self.cancellations = Cancellations(
            self.group, self.register, self.cursors, self.queue, self.outcomes, self.reads, Strangers(100)
        )

    async def cancel(self, entry: str = "5-0", caller: str = "client") -> str:
        """Cancel a call; what whoever asked is told (empty: nothing)."""
        await self.cancellations.cancel(Cancel("asker", 0, "room-1", caller, f"m{entry}", "a1"))
        return "".join(read_reply(line)[1] for line in self.shard.effects.replies.get("asker", []))

    def told(self) -> list[str]:
        """What the caller of the call itself is told."""
        return [read_reply(line)[1] for line in self.shard.effects.replies.get("client", [])]


@asynccontextmanager
async def play(kind: type[Press] = Press) -> AsyncIterator[tuple[Play, HostedChild]]:
    """A press that is running."""
    Press.begun, Press.may_end = Seen(), asyncio.Event()
    async with Play() as made:
        made.classes.register(as_child_class(kind))
        press = made.child(kind)
        await press.at_boundary()
        yield made, press


async def in_hand(made: Play, press: HostedChild, method: str = "render") -> None:
    made.pumps.offer(press, call(method))
    await Press.begun.until(1)


def pages(press: HostedChild) -> int:
    assert isinstance(press.instance, Press)
    return press.instance.pages


def test_a_call_in_hand_is_undone_and_both_answers_go_with_the_same_commit() -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            await in_hand(made, press)
            assert await made.cancel() == "cancelled"
            assert made.told() == ["cancelled"] and pages(press) == 0
            made.commit()
            assert set(made.committed[-1].replies) == {"asker", "client"}
            assert made.committed[-1].done == {"room-1": [b"5-0"]} and not made.committed[-1].states

    asyncio.run(scenario())


def test_with_on_error_keep_what_it_had_changed_stays_and_is_said_so() -> None:
    async def scenario() -> None:
        async with play(Keeping) as (made, press):
            await in_hand(made, press)
            assert await made.cancel() == "cancelled" and pages(press) == 1
            (line,) = made.shard.effects.replies["client"]
            assert b"what it had changed stays" in read_reply(line)[-1]

    asyncio.run(scenario())


def test_one_that_goes_on_though_it_was_cancelled_and_returns_is_done() -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            await in_hand(made, press, "stubborn")
            assert await made.cancel() == "done"
            assert made.told() == ["ok"] and pages(press) == 1

    asyncio.run(scenario())


def test_a_plain_def_goes_on() -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            await in_hand(made, press)
            assert press.in_hand is not None
            press.in_hand.threaded()
            assert await made.cancel() == "in_thread"
            Press.may_end.set()
            await made.handled(press)
            assert made.told() == ["ok"]

    asyncio.run(scenario())


def test_one_that_waits_for_its_turn_is_never_begun_and_those_behind_it_go_on() -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            await in_hand(made, press)
            made.pumps.offer(press, call("quick", entry="6-0"))
            made.pumps.offer(press, call("quick", entry="7-0"))
            assert await made.cancel("6-0") == "cancelled"
            Press.may_end.set()
            await made.handled(press)
            assert pages(press) == 2
            made.commit()
            assert sorted(made.committed[-1].done["room-1"]) == [b"5-0", b"6-0", b"7-0"]

    asyncio.run(scenario())


def test_a_call_of_another_caller_with_the_same_number_is_another() -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            await in_hand(made, press)
            assert await made.cancel(caller="somebody else") == "done", "there is no such call any more"
            assert press.in_hand is not None and not made.told()

    asyncio.run(scenario())


def test_a_read_that_runs_is_ended() -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            assert made.reads.begin(press, call("look"))
            await Press.begun.until(1)
            assert await made.cancel() == "cancelled" and made.told() == ["cancelled"]

    asyncio.run(scenario())


def test_one_that_is_neither_in_memory_nor_in_the_mailbox_is_done() -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            await made.handled(press, call("quick"))
            made.commit()
            assert await made.cancel() == "done"

    asyncio.run(scenario())


def test_it_is_looked_for_in_the_whole_mailbox() -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            others = [call("quick", entry=f"{n}-0") for n in range(10, 10 + COUNT)]
            pages = iter([list(reversed(others)), [call("quick")]])
            made.redis.answer = lambda command: next(pages)
            press.moved(LifeEvent.FAILED)  # it is parked: nothing of it is in memory
            assert await made.cancel() == "cancelled" and made.told() == ["cancelled"]
            assert [command[0].args[2] for command in made.redis.asked] == [b"+", b"(10-0"]

    asyncio.run(scenario())


def test_one_that_is_in_the_mailbox_only_is_waited_for_until_it_is_read() -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            made.mailbox = [call("quick")]
            asked = asyncio.create_task(made.cancel())
            await made.redis.until_asked(2)
            await in_hand(made, press)  # it has been read now
            made.mailbox = []
            assert await asked == "cancelled" and pages(press) == 0

    asyncio.run(scenario())


def test_what_may_have_been_answered_before_a_crash_is_done() -> None:
    """``durability="interval"``: another node may have answered it, and its result may be here already."""

    async def scenario() -> None:
        async with play(Seldom) as (made, press):
            made.shard.replays_before("room-1", float(REDIS_MS))
            await in_hand(made, press)
            made.pumps.offer(press, call("quick", entry="6-0"))
            assert await made.cancel() == "done" and await made.cancel("6-0") == "donedone"
            assert press.in_hand is not None and len(press.queue or ()) == 1, "they are handled again"

    asyncio.run(scenario())


@pytest.mark.parametrize("why", ["no such child", "gone"])
def test_a_child_that_is_not_here_says_nothing(why: str) -> None:
    async def scenario() -> None:
        async with play() as (made, press):
            if why == "gone":
                made.shard.lose()
            else:
                made.endings.end(press)
                made.commit()
            assert await made.cancel() == ""

    asyncio.run(scenario())


def test_after_a_while_nobody_waits_any_more() -> None:
    async def scenario() -> None:
        async with play() as (made, _):
            made.mailbox = [call("quick")]  # it is never read
            asked = asyncio.create_task(made.cancel())
            await made.redis.until_asked(2)
            made.clock.now += PATIENCE
            await until(asked.done)
            assert asked.result() == ""

    asyncio.run(scenario())
