"""What a child says to others belongs to its state: it is undone with it, and leaves with its save."""

from __future__ import annotations

import asyncio

import pytest

from hubq.core.child import Child
from hubq.errors import (
    ConfigError,
    InvalidChildId,
    InvalidTopic,
    OutsideHandler,
    PayloadTooLarge,
    UnknownMethod,
    word_for,
)
from hubq.store.codec import decode
from hubq.store.spec_record import SpecRecord
from tests.unit.node.household import Household, call, cast_of, replies


class Stock(Child):
    def __init__(self, count: int = 0) -> None:
        self.count = count

    async def take(self, many: int) -> None:
        self.count -= many


class Other(Child):
    async def take(self, many: int) -> None: ...


class Shelf(Child):
    activate = True

    def __init__(self, place: str) -> None:
        self.place = place

    async def take(self, many: int) -> None: ...


class Order(Child):
    async def pay(self, many: int) -> None:
        self.paid = many
        self.ref(Stock, "stock").cast(Stock.take, many)
        self.ref("stock").cast("take", many)

    async def fail(self) -> None:
        await self.pay(3)
        raise ValueError("no money")

    async def open(self, name: str) -> None:
        self.ref(Stock, name).start(7)

    async def wrong(self) -> None:
        self.ref(Stock, "stock").cast("tkae", 1)

    async def wrong_class(self) -> None:
        self.ref(Stock, "stock").cast(Other.take, 1)

    async def wrong_name(self) -> None:
        self.ref("stock").cast("take it", 1)

    async def no_name(self) -> None:
        self.ref("stock").cast("", 1)

    async def wrong_start(self) -> None:
        self.ref(Stock, "s-1").start(7, 8)

    async def wrong_child(self) -> None:
        self.ref(Stock, "s\n1").start(7)

    async def wrong_activation(self) -> None:
        self.ref(Shelf, "shelf").cast(Shelf.take, 1)

    async def arguments_for_nothing(self) -> None:
        self.ref(Stock, "stock", 7).cast(Stock.take, 1)

    async def wrong_topic(self) -> None:
        self.publish("a topic", 1)

    async def nameless(self) -> None:
        self.ref("stock").start()

    async def heavy(self) -> None:
        self.ref("stock").cast("take", b"x" * 2_000)


class Keeping(Order):
    on_error = "keep"


class Seldom(Order):
    durability = "interval"
    save_every = 60.0


def said(home: Household) -> list[tuple[str, str]]:
    return [(sent.child, sent.method) for effects in home.committed for sent in effects.said]


def test_what_is_said_is_in_the_effects_that_end_its_message() -> None:
    async def scenario() -> None:
        async with Household(Order) as home:
            await home.handled(home.child(Order), call("pay", 2))
            home.commit()
            (effects,) = home.committed
            assert [decode(sent.payload) for sent in effects.said] == [((2,), {})] * 2
            assert said(home) == [("stock", "take")] * 2
            assert {sent.sender for sent in effects.said} == {"room-1"} and list(effects.done) == ["room-1"]

    asyncio.run(scenario())


def test_what_a_handler_that_raises_has_said_was_never_said() -> None:
    async def scenario() -> None:
        async with Household(Order) as home:
            hosted = home.child(Order)
            await home.handled(
                hosted, call("pay", 1, entry="5-0"), call("fail", entry="6-0"), call("pay", 1, entry="7-0")
            )
            home.commit()
            assert said(home) == [("stock", "take")] * 4

    asyncio.run(scenario())


def test_what_is_kept_is_said() -> None:
    async def scenario() -> None:
        async with Household(Keeping) as home:
            await home.handled(home.child(Keeping), call("fail"))
            home.commit()
            assert said(home) == [("stock", "take")] * 2

    asyncio.run(scenario())


def test_a_child_that_is_saved_seldom_says_it_with_the_save() -> None:
    async def scenario() -> None:
        async with Household(Seldom) as home:
            hosted = home.child(Seldom)
            await home.handled(hosted, call("pay", 1, entry="5-0"), cast_of("pay", 1, entry="6-0"))
            home.commit()
            assert said(home) == []
            home.saver.save_boundary(hosted)
            home.commit()
            assert said(home) == [("stock", "take")] * 4
            assert home.committed[-1].done == {"room-1": [b"5-0", b"6-0"]}, "in the same commit"

    asyncio.run(scenario())


def test_a_start_has_a_spec_with_an_id_of_its_own() -> None:
    async def scenario() -> None:
        async with Household(Order, Stock) as home:
            await home.handled(home.child(Order), call("open", "s-1", entry="5-0"), call("open", "s-2", entry="6-0"))
            home.commit()
            specs = [SpecRecord.read(sent.spec) for effects in home.committed for sent in effects.said]
            assert [decode(spec.arguments) for spec in specs] == [((7,), {})] * 2
            assert len({spec.start_id for spec in specs}) == 2 and {spec.name for spec in specs} == {"Stock"}

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "error", "text"),
    [
        ("wrong", UnknownMethod, "class Stock has no method 'tkae'; it has: take"),
        ("wrong_class", UnknownMethod, "Other.take is no method of class Stock: give Stock.take"),
        ("wrong_name", UnknownMethod, "child 'stock' has no method 'take it'"),
        ("no_name", UnknownMethod, "child 'stock' has no method ''"),
        ("nameless", ConfigError, "child 'stock' cannot be started by its name alone"),
        (
            "wrong_start",
            ConfigError,
            "child 's-1' cannot be started: Stock.__init__ says: too many positional arguments",
        ),
        ("wrong_child", InvalidChildId, "has unprintable characters"),
        ("wrong_activation", ConfigError, "Shelf.__init__ says: missing a required argument: 'place'"),
        ("arguments_for_nothing", ConfigError, "Stock has no activate=True"),
        ("wrong_topic", InvalidTopic, "topic 'a topic'"),
        ("heavy", PayloadTooLarge, "the arguments of stock.take"),
    ],
)
def test_what_cannot_be_said_is_an_error_of_the_handler(method: str, error: type[Exception], text: str) -> None:
    async def scenario() -> None:
        async with Household(Order, max_payload_bytes=1_024) as home:
            await home.handled(home.child(Order), call(method))
            home.commit()
            assert said(home) == []
            ((word, told),) = replies(home.committed[0])
            assert word == word_for(error("")) and text in told

    asyncio.run(scenario())


def test_without_a_message_in_hand_nothing_can_be_said() -> None:
    async def scenario() -> None:
        async with Household(Order) as home:
            hosted = home.child(Order)
            assert isinstance(hosted.instance, Order)
            with pytest.raises(OutsideHandler, match="'room-1' has no message in hand"):
                hosted.instance.ref("stock").cast("take", 1)

    asyncio.run(scenario())
