"""A message with a key is run once: others get its outcome, from Redis or from the commit that is under way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from hubq.core.child import Child
from hubq.core.phase import Phase
from hubq.errors import RedisUnavailable
from hubq.node.held.holding import Holding
from hubq.node.held.recorder import NoRecorder
from hubq.store.codec import decode, encode
from hubq.store.header import Header
from hubq.store.keeps import KeptReply
from hubq.store.message import Message
from hubq.store.owners import Owner
from tests.unit.node.household import Household, call, cast_of, replies


class Till(Child):
    def __init__(self) -> None:
        self.paid: list[int] = []

    async def pay(self, amount: int, tip: int = 0) -> int:
        if amount < 0:
            raise ValueError("no money")
        self.paid.append(amount + tip)
        return len(self.paid)

    async def give(self, amount: int, tip: int = 0) -> None: ...


class Keeping(Till):
    on_error = "keep"


class Seldom(Till):
    durability = "interval"
    save_every = 60.0


def keyed(
    *args: Any, entry: str = "5-0", key: str = "k", method: str = "pay", message: Message | None = None
) -> Message:
    return replace(message or call(method, *args, entry=entry), header=Header((), key, 1000))


def home(kind: type[Child] = Till) -> Household:
    """A household in whose Redis nothing is kept."""
    made = Household(kind)
    made.redis.answer = lambda command: None
    return made


def kept(house: Household) -> list[KeptReply]:
    """What the commits so far keep."""
    return [said for effects in house.committed for said in effects.said if isinstance(said, KeptReply)]


def test_the_outcome_of_the_first_is_kept_by_its_own_commit() -> None:
    async def scenario() -> None:
        async with home() as house:
            till = house.child(Till)
            await house.handled(till, keyed(7))
            house.commit()
            (reply,) = kept(house)
            assert (reply.sender, reply.key, reply.keep, reply.entry, reply.word) == ("room-1", "k", 1000, "5-0", "ok")
            assert decode(reply.payload) == 1
            assert house.committed[0].done == {"room-1": [b"5-0"]}

    asyncio.run(scenario())


@pytest.mark.parametrize("committed", [False, True], ids=["under way", "committed"])
def test_another_one_gets_that_outcome_and_is_not_run(committed: bool) -> None:
    async def scenario() -> None:
        async with home() as house:
            till = house.child(Till)
            await house.handled(till, keyed(7))
            if committed:
                house.commit()
                await asyncio.sleep(0)
                house.redis.answer = lambda command: kept(house)[0]
            await house.handled(till, keyed(7, entry="6-0"), keyed(entry="7-0", message=cast_of("pay", 7, entry="7-0")))
            house.commit()
            assert till.instance is not None and vars(till.instance)["paid"] == [7]
            assert [answer for effects in house.committed for answer in replies(effects)] == [("ok", 1), ("ok", 1)]
            done = [entry for effects in house.committed for entry in effects.done["room-1"]]
            assert done == [b"5-0", b"6-0", b"7-0"]
            assert len(kept(house)) == 1, "it is kept once"

    asyncio.run(scenario())


def test_while_its_commit_is_under_way_redis_is_not_asked_and_behind_it_nothing_is_remembered() -> None:
    async def scenario() -> None:
        async with home() as house:
            till = house.child(Till)
            await house.handled(till, keyed(7), keyed(7, entry="6-0"))
            assert house.redis.names() == ["GET"], "the first one has looked, the second one knew"
            house.commit()
            await asyncio.sleep(0)
            await house.handled(till, keyed(7, entry="7-0"))
            assert house.redis.names() == ["GET", "GET"]

    asyncio.run(scenario())


def test_what_a_lost_holding_has_not_committed_says_nothing_to_the_child_that_comes_back() -> None:
    """The node was evicted while the commit was under way, and has joined and adopted the shard again: that commit is refused."""

    async def scenario() -> None:
        async with home() as house:
            till = house.child(Till)
            await house.handled(till, keyed(7))
            refused = house.shard.take_waiters()  # its commit is under way
            house.shard.lose()
            again = Holding(0, Owner("a", 8, 4), NoRecorder(), phase=Phase.OPEN)
            house.register.hold(again)
            new = house.child(Till, holding=again)
            await house.handled(new, keyed(7, entry="6-0"))
            assert new.instance is not None and vars(new.instance)["paid"] == [7], "it was run"
            assert [said.entry for said in again.effects.said if isinstance(said, KeptReply)] == ["6-0"]
            for waiter in refused:
                waiter.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("second", "is_same"),
    [
        (call("pay", 7, 0, entry="6-0"), True),
        (replace(call("pay", entry="6-0"), payload=encode(((), {"amount": 7}))), True),
        (call("pay", 8, entry="6-0"), False),
        (call("give", 7, entry="6-0"), False),
        (call("pay", 7, 1, 2, entry="6-0"), False),
    ],
    ids=["a default", "by name", "another value", "another method", "too many"],
)
def test_arguments_are_compared_as_the_method_gets_them(second: Message, is_same: bool) -> None:
    async def scenario() -> None:
        async with home() as house:
            till = house.child(Till)
            await house.handled(till, keyed(7), keyed(message=second))
            house.commit()
            word, answer = replies(house.committed[0])[1]
            assert (word == "ok") is is_same
            if not is_same:
                assert word == "key_reused" and "the key 'k' was used for another method or other arguments" in answer
            assert till.instance is not None and vars(till.instance)["paid"] == [7]

    asyncio.run(scenario())


def test_another_key_and_another_child_are_others() -> None:
    async def scenario() -> None:
        async with home() as house:
            till, other = house.child(Till), house.child(Till, child="room-2")
            await house.handled(till, keyed(7), keyed(7, entry="6-0", key="l"))
            await house.handled(other, replace(keyed(7, entry="7-0"), child="room-2"))
            for hosted, paid in ((till, [7, 7]), (other, [7])):
                assert hosted.instance is not None and vars(hosted.instance)["paid"] == paid

    asyncio.run(scenario())


def test_one_that_has_raised_is_run_again_unless_it_has_left_something() -> None:
    async def scenario() -> None:
        async with home() as house:
            till = house.child(Till)
            await house.handled(till, keyed(-1))
            house.commit()
            assert kept(house) == []
        async with home(Keeping) as house:
            till = house.child(Keeping)
            await house.handled(till, keyed(-1), keyed(-1, entry="6-0"))
            house.commit()
            (reply,) = kept(house)
            assert reply.word == "failed"
            assert [word for word, _ in replies(house.committed[0])] == ["failed", "failed"]

    asyncio.run(scenario())


def test_one_that_comes_again_after_a_crash_is_run_again_and_its_outcome_stays() -> None:
    """``durability="interval"``: it was answered, and the saved state lacks it."""

    async def scenario() -> None:
        async with home(Seldom) as house:
            till = house.child(Seldom)
            await house.handled(till, keyed(7))
            house.commit()
            (reply,) = kept(house)
        async with home(Seldom) as later:
            later.redis.answer = lambda command: reply
            till = later.child(Seldom)
            await later.handled(till, keyed(7), keyed(7, entry="6-0"))
            later.commit()
            assert till.instance is not None and vars(till.instance)["paid"] == [7]
            assert kept(later) == [], "what is kept stays as it is"

    asyncio.run(scenario())


def test_while_redis_does_not_answer_it_is_not_known_and_waits() -> None:
    async def scenario() -> None:
        async with home() as house:
            answers = iter([RedisUnavailable("away"), None])
            house.redis.answer = lambda command: next(answers)
            till = house.child(Till)
            await house.handled(till, keyed(7))
            assert house.redis.names() == ["GET", "GET"]
            house.commit()
            assert replies(house.committed[0]) == [("ok", 1)]

    asyncio.run(scenario())
