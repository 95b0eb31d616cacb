"""A job that a child enqueues is an effect: its id is that of its message, whoever handles that, and it goes as the state goes."""

from __future__ import annotations

import asyncio

import pytest

from hubq.core.child import Child
from hubq.errors import OutsideHandler, PayloadTooLarge
from hubq.store.waiting_jobs import Enqueued
from tests.unit.node.household import Household, call, replies


class Order(Child):
    async def pay(self, times: int) -> list[str]:
        return [self.enqueue("app.mail", number) for number in range(times)]

    async def fail(self) -> None:
        self.enqueue("app.mail", 7)
        raise ValueError("no money")

    async def heavy(self) -> None:
        self.enqueue("app.mail", b"x" * 2_000)


def enqueued(home: Household) -> list[Enqueued]:
    return [said for effects in home.committed for said in effects.said if isinstance(said, Enqueued)]


def test_the_ids_are_those_of_the_message_and_its_place() -> None:
    async def scenario() -> None:
        async with Household(Order) as home:
            await home.handled(home.child(Order), call("pay", 2, entry="5-0"), call("fail", entry="6-0"))
            home.commit()
            shard = home.shard.shard
            ids = [f"chat--{shard}-5-0-1", f"chat--{shard}-5-0-2"]
            assert [job.job_id for job in enqueued(home)] == ids and {job.sender for job in enqueued(home)} == {
                "room-1"
            }
            assert replies(home.committed[0])[0] == ("ok", ids)

    asyncio.run(scenario())


def test_a_copy_has_the_ids_and_enqueues_nothing() -> None:
    async def scenario() -> None:
        async with Household(Order) as home:
            hosted = home.child(Order)
            hosted.holding.is_copy = True
            hosted.offer(call("pay", 1, entry="5-0"))
            hosted.take_in_hand(None)
            assert hosted.enqueues("app.mail", (), {}) == f"chat--{home.shard.shard}-5-0-1"
            assert hosted.said is None

    asyncio.run(scenario())


def test_what_cannot_be_enqueued_is_an_error_of_the_handler() -> None:
    async def scenario() -> None:
        async with Household(Order, max_payload_bytes=1_024) as home:
            hosted = home.child(Order)
            await home.handled(hosted, call("heavy"))
            home.commit()
            assert enqueued(home) == [] and PayloadTooLarge.__name__ in str(replies(home.committed[0]))
            with pytest.raises(OutsideHandler, match=r"self\.enqueue"):
                hosted.enqueues("app.mail", (), {})

    asyncio.run(scenario())
