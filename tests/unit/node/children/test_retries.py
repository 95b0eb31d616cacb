"""A message whose handler raised: put back, held back, tried again in its place, and given up."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, ClassVar

import pytest

from hubq.core.child import Child
from hubq.core.retry import Retry
from hubq.node.held.holding import HostedChild
from tests.unit.node.fakes import REDIS_MS
from tests.unit.node.household import Household, call, cast_of, replies

#: Long enough that no test waits for it.
LONG = 3600.0


class Order(Child):
    failures: ClassVar[list[BaseException]] = []

    def __init__(self) -> None:
        self.log: list[str] = []

    async def note(self, what: str) -> str:
        self.log.append(what)
        return what

    @Retry(max=2, wait=0.0)
    async def at_once(self, what: str) -> int:
        self.log.append(what)
        self.ref("other").cast("note", what)
        if self.failures:
            raise self.failures.pop(0)
        return len(self.log)

    @Retry(max=2, wait=0.001)
    async def soon(self, what: str) -> int:
        return await Order.at_once(self, what)

    @Retry(max=2, wait=LONG, longest=LONG)
    async def much_later(self, what: str) -> int:
        return await Order.at_once(self, what)

    @Retry(max=5, wait=0.0, give_up_on=(KeyError,))
    async def picky(self, what: str) -> int:
        return await Order.at_once(self, what)

    @Retry(max=5, wait=0.0)
    def in_a_thread(self, what: str) -> str:
        self.log.append(what)
        if self.failures:
            raise self.failures.pop(0)
        return what

    @Retry(max=5, wait=0.0)
    async def unsendable(self, what: str) -> Any:
        self.log.append(what)
        return asyncio.current_task()


async def log_of(home: Household, hosted: HostedChild, entry: str = "99-0") -> list[str]:
    assert isinstance(hosted.instance, Order)
    return list(hosted.instance.log)


def failing(*errors: BaseException) -> None:
    Order.failures[:] = errors


async def is_held_back(order: HostedChild) -> None:
    """Wait, turn by turn of the loop, until its message waits for another try."""
    for _ in range(1000):
        if order.held_back is not None:
            return
        await asyncio.sleep(0)
    raise AssertionError("no message waits for another try")


def test_a_message_that_fails_twice_is_tried_three_times_and_leaves_one_trace() -> None:
    async def scenario() -> None:
        failing(OSError("1"), OSError("2"))
        async with Household(Order) as home:
            order = home.child(Order)
            await home.handled(order, call("at_once", "a"))
            home.commit()
            (effects,) = home.committed
            assert replies(effects) == [("ok", 1)]
            assert len(effects.said) == 1
            assert home.counters.retries["Order", "at_once"] == 2
            assert not home.counters.failures
            assert order.held_back is None

    asyncio.run(scenario())


def test_later_messages_wait_behind_it_and_other_children_do_not() -> None:
    async def scenario() -> None:
        failing(OSError("1"), OSError("2"))
        async with Household(Order) as home:
            order, other = home.child(Order), home.child(Order, child="room-2")
            for number, message in enumerate((("soon", "a"), ("note", "b"), ("note", "c"))):
                home.pumps.offer(order, call(*message, entry=f"{number + 1}-0"))
            await is_held_back(order)
            await home.handled(other, call("note", "z"))
            assert order.queue is not None and len(order.queue) == 3
            await home.handled(order)
            assert await log_of(home, order) == ["a", "b", "c"]

    asyncio.run(scenario())


def test_after_the_last_try_a_caller_gets_the_last_error_and_a_cast_is_a_letter() -> None:
    async def scenario() -> None:
        failing(*(OSError(str(n)) for n in range(1, 7)))
        async with Household(Order) as home:
            order = home.child(Order)
            await home.handled(order, call("at_once", "a", entry="1-0"), cast_of("at_once", "b", entry="2-0"))
            home.commit()
            (effects,) = home.committed
            ((word, error),) = replies(effects)
            assert word == "failed" and '"message":"3"' in error and "It was tried 3 times" in error
            (letter,) = effects.letters
            assert letter.entry == b"2-0" and letter.why == "raised"
            assert "OSError: 6" in letter.error and "It was tried 3 times" in letter.error
            assert not effects.said and await log_of(home, order) == []
            assert effects.done == {"room-1": [b"1-0", b"2-0"]}
            assert home.counters.failures["Order", "at_once", "raised"] == 2

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "args", "error"),
    [
        ("picky", ("a",), KeyError("no")),
        ("at_once", (), None),
        ("unsendable", ("a",), None),
        ("note", ("a", "b"), None),
    ],
)
def test_what_would_fail_again_is_not_tried_again(
    method: str, args: tuple[str, ...], error: BaseException | None
) -> None:
    async def scenario() -> None:
        failing(*([error] if error else []))
        async with Household(Order) as home:
            order = home.child(Order)
            await home.handled(order, call(method, *args))
            home.commit()
            assert len(home.committed[0].done["room-1"]) == 1
            assert not home.counters.retries
            assert home.handler.handled == 1

    asyncio.run(scenario())


def test_a_plain_def_is_tried_again() -> None:
    async def scenario() -> None:
        failing(OSError("1"))
        async with Household(Order) as home:
            order = home.child(Order)
            await home.handled(order, call("in_a_thread", "a"))
            assert await log_of(home, order) == ["a"]

    asyncio.run(scenario())


def test_a_call_is_not_tried_again_after_its_deadline() -> None:
    async def scenario() -> None:
        failing(OSError("1"))
        async with Household(Order) as home:
            order = home.child(Order)
            await home.handled(order, call("much_later", "a", deadline=REDIS_MS + int(LONG * 1000) - 1))
            home.commit()
            ((word, error),) = replies(home.committed[0])
            assert word == "failed" and '"message":"1"' in error

    asyncio.run(scenario())


def test_a_child_that_waits_for_another_try_is_at_a_boundary_and_its_state_is_that_before_the_message() -> None:
    async def scenario() -> None:
        failing(OSError("1"))
        async with Household(Order) as home:
            order = home.child(Order)
            home.pumps.offer(order, call("note", "a", entry="1-0"))
            home.pumps.offer(order, call("much_later", "b", entry="2-0", deadline=0))
            await is_held_back(order)
            assert not order.settling and not order.open
            assert order.held_back.another_try.error == "OSError: 1"
            assert await log_of(home, order) == ["a"]
            assert order.said is None or not order.said

    asyncio.run(scenario())


def test_a_wait_that_a_withdrawal_has_ended_does_not_end_another_one() -> None:
    async def scenario() -> None:
        failing(OSError("1"), OSError("2"))
        async with Household(Order) as home:
            order = home.child(Order)
            home.pumps.offer(order, call("much_later", "a", entry="1-0"))
            home.pumps.offer(order, call("much_later", "b", entry="2-0"))
            await is_held_back(order)
            first = order.held_back.another_try
            order.withdraw(1)
            assert order.held_back is not None, "the other message was withdrawn"
            order.withdraw(0)
            assert order.held_back is None
            home.pumps.offer(order, call("much_later", "c", entry="3-0"))
            await is_held_back(order)
            order.waited(first)
            assert order.held_back is not None
            assert order.held_back.another_try.tried == (b"3-0", 1)

    asyncio.run(scenario())


def test_a_flood_of_retries_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        failing(*(OSError(str(n)) for n in range(1, 7)))
        async with Household(Order) as home:
            order = home.child(Order)
            with caplog.at_level(logging.WARNING, logger="hubq.node"):
                await home.handled(order, cast_of("at_once", "a", entry="1-0"), cast_of("at_once", "b", entry="2-0"))
        told = [record.getMessage() for record in caplog.records if "again" in record.getMessage()]
        assert told == ["child room-1: Order.at_once raised (OSError: 1): tried 1 of 3 times, again in 0 s"]

    asyncio.run(scenario())
