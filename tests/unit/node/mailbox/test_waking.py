"""Messages have come for a dormant child: it is woken, gets each once, in order, and those that are left in the mailbox, too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hubq.core.child import Child
from hubq.node.arrivals.entrance import Coming
from hubq.node.arrivals.wishes import Wishes
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.strangers import Strangers
from hubq.node.mailbox.delivery import Delivery
from hubq.node.mailbox.waking import Waking
from hubq.node.runtime.bell import News
from hubq.store.command import Command
from hubq.store.dormant import Found
from hubq.store.message import Message
from hubq.store.spec_record import SpecRecord
from tests.unit.node.household import Household, cast_of
from tests.unit.node.movers import until


class Room(Child):
    """Handles nothing here: its messages are looked at in its queue."""


class Refused:
    """Whose senders were told that there is no such child."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []

    def refuse_unknown(self, holding: Holding, message: Message) -> None:
        self.entries.append(message.entry)


class Sleeping(Household):
    """``room-1`` is dormant, as long as ``found`` says so. Two messages of a child that is not here are kept in memory."""

    def __init__(self, **settings: int) -> None:
        super().__init__(Room, **settings)
        self.found: dict[str, Found] = {"room-1": Found(self.record(Room), None)}
        self.built = asyncio.Event()
        self.strangers = Strangers(limit=2)
        self.refused = Refused()
        wishes = Wishes(self.group, News())
        wishes.seen({})
        nothing = cast(Any, None)
        outcomes = cast(Any, self.refused)
        self.delivery = Delivery(
            self.group.config, self.cursors, self.pumps, nothing, nothing, outcomes, self.endings, self.reads, DueTimes(),
            self.strangers,
        )  # fmt: skip
        self.waking = Waking(
            self.group, self.background, self.gate, self.cursors, self.plan_due, cast(Any, self), self.strangers, self.delivery,
            cast(Any, self), wishes, outcomes, self.counters, self.pieces,
        )  # fmt: skip
        self.shard.may_have_dormant(True)

    async def answered(self, holding: Holding, what: str, ask: Callable[[bool], Command[Any]]) -> dict[str, Found]:
        """As the scripts under the token of a holding are."""
        await asyncio.sleep(0)
        return self.found

    def enter(self, holding: Holding, child: str, record: SpecRecord, coming: Coming) -> HostedChild:
        """As the entrance does, but it has not started yet."""
        hosted = self.build(Room, child=child)
        self.built.set()
        return hosted

    def deliver(self, *entries: str) -> None:
        """As the reader does."""
        for entry in entries:
            self.delivery.deliver(self.shard, cast_of("post", entry=entry))

    def queued(self) -> list[bytes]:
        """What its queue has."""
        return [message.entry for message in self.shard.children["room-1"].queue or ()]


def test_what_is_left_in_the_mailbox_comes_before_what_is_read_later() -> None:
    async def scenario() -> None:
        async with Sleeping() as home:
            home.deliver("5-0", "6-0", "7-0")
            home.waking.start()
            await home.built.wait()  # (in the very turn of the loop in which it is built)
            home.deliver("8-0")
            assert home.queued() == [b"5-0", b"6-0"], "8-0 stands behind 7-0, which is read again"
            await until(lambda: not home.strangers.holdings())
            assert home.shard.behind == {"room-1": b"6-0"} and home.cursors.take_to_catch() == [home.shard]
            await home.waking.stop()

    asyncio.run(scenario())


def test_a_queue_that_has_no_room_for_what_was_kept_is_filled_from_where_it_is() -> None:
    async def scenario() -> None:
        async with Sleeping(queue_bytes=10) as home:
            home.deliver("5-0", "6-0", "7-0")
            home.waking.start()
            await until(lambda: not home.strangers.holdings())
            for _ in range(5):
                await asyncio.sleep(0)
            assert home.queued() == [b"5-0"] and home.shard.behind == {"room-1": b"5-0"}
            await home.waking.stop()

    asyncio.run(scenario())


def test_the_senders_to_a_child_that_has_ended_are_told_also_of_what_is_left() -> None:
    async def scenario() -> None:
        async with Sleeping() as home:
            home.found = {}
            home.deliver("5-0", "6-0", "7-0")
            home.waking.start()
            await until(lambda: len(home.refused.entries) == 2)
            assert home.refused.entries == [b"5-0", b"6-0"]
            await until(lambda: home.shard.behind == {"room-1": b"6-0"})
            await home.waking.stop()

    asyncio.run(scenario())
