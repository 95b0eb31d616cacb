"""Messages that may have taken nodes down: marked before they are handled, and suspects alone."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.node.held.holding import HostedChild
from hubq.node.held.in_hand import InHand
from hubq.node.runtime.background import Background
from hubq.node.trials.marks import Marks
from hubq.node.trials.messages import MessageTrials
from hubq.store.message import Message
from hubq.store.tries import Mark, Watch
from tests.unit.node.fakes import FakeRedis, Seen, a_child, a_group, a_holding


class FakeHandler:
    """Handles what it is given, when it may; remembers, beside it, how often Redis had been asked by then."""

    def __init__(self, redis: FakeRedis) -> None:
        self.handled: list[tuple[str, int]] = []
        self.put_back: list[str] = []
        self.begun = Seen()
        self.at_once = 0
        self.most_at_once = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self._redis = redis

    async def handle(self, hosted: HostedChild, in_hand: InHand) -> None:
        self.handled.append((in_hand.message.entry.decode(), len(self._redis.asked)))
        self.begun.again()
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.may_end.wait()
        self.at_once -= 1

    def unbegun(self, hosted: HostedChild, message: Message) -> None:
        self.put_back.append(message.entry.decode())


class Bench:
    """Trials in front of a handler."""

    def __init__(self, word: str = "ok") -> None:
        self.redis = FakeRedis(lambda command: word)
        self.handler = FakeHandler(self.redis)
        self.may_handle = True
        marks = Marks(a_group(self.redis), Background())
        self.trials = MessageTrials(marks, cast(Any, self.handler), lambda: self.may_handle)

    def marks(self) -> list[tuple[str, str]]:
        """All marks that were written: (field, text)."""
        return [
            cast("tuple[str, str]", tuple(command.args[-2:])) for commands in self.redis.asked for command in commands
        ]


def in_hand(entry: bytes, child: str = "room-1") -> InHand:
    return InHand(Message(entry, "cast", child, "join", "1", "", 0, b""))


def a_watch(**marks: str) -> Watch:
    """A shard that was taken over after b had died; messages up to 9-0 were there."""
    return Watch((9, 0), "open", ("c#2", "b#5"), {f"message {child}": Mark.read(line) for child, line in marks.items()})


def test_without_a_watch_nothing_stands_between_a_message_and_its_handler() -> None:
    async def scenario() -> None:
        bench, hosted = Bench(), a_child(a_holding())
        coroutine = cast(Any, bench.trials.handle(hosted, in_hand(b"1-0")))
        assert coroutine.cr_code is FakeHandler.handle.__code__
        await coroutine
        hosted.holding.watched(a_watch())
        coroutine = cast(Any, bench.trials.handle(hosted, in_hand(b"10-0")))  # it came after the crash
        assert coroutine.cr_code is FakeHandler.handle.__code__
        await coroutine
        assert bench.redis.asked == [] and len(bench.handler.handled) == 2

    asyncio.run(scenario())


def test_a_message_that_was_there_at_a_crash_is_marked_before_it_is_handled() -> None:
    async def scenario() -> None:
        bench, hosted = Bench(), a_child(a_holding())
        hosted.holding.watched(a_watch(**{"room-1": "3-0 1 b#5 b#5"}))
        await bench.trials.handle(hosted, in_hand(b"3-0"))
        await bench.trials.handle(hosted, in_hand(b"4-0"))  # nobody had it in hand: the crash is one all the same
        assert bench.handler.handled == [("3-0", 1), ("4-0", 2)]
        assert bench.marks() == [("message room-1", "3-0 1 a#7 b#5"), ("message room-1", "4-0 1 a#7 b#5")]

    asyncio.run(scenario())


def test_the_mark_of_a_message_is_not_lost_to_an_earlier_one_that_comes_again() -> None:
    """It was done, and its commit had not begun, when the later one took the node down. The next node may die in between."""

    async def scenario() -> None:
        bench, hosted = Bench(), a_child(a_holding())
        known = Watch((9, 0), "open", (), {"message room-1": Mark.read("5-0 1 - b#5")})
        hosted.holding.watched(known)
        await bench.trials.handle(hosted, in_hand(b"3-0"))
        assert bench.marks() == []
        await bench.trials.handle(hosted, in_hand(b"5-0"))
        await bench.trials.handle(hosted, in_hand(b"6-0"))
        assert bench.marks() == [("message room-1", "5-0 1 a#7 b#5"), ("message room-1", "6-0 0 a#7")]

    asyncio.run(scenario())


def test_an_earlier_message_is_marked_if_a_node_has_died_since_the_later_one_was_counted() -> None:
    async def scenario() -> None:
        bench, hosted = Bench(), a_child(a_holding())
        hosted.holding.watched(a_watch(**{"room-1": "5-0 1 - c#2"}))  # b#5 was the last that died
        await bench.trials.handle(hosted, in_hand(b"3-0"))
        assert bench.marks() == [("message room-1", "3-0 1 a#7 b#5")]

    asyncio.run(scenario())


def test_suspects_are_tried_one_at_a_time_and_their_marks_are_taken_back() -> None:
    async def scenario() -> None:
        bench, holding = Bench(), a_holding()
        suspects = [a_child(holding, name) for name in ("room-1", "room-2")]
        watch = a_watch(**{hosted.child_id: "3-0 2 b#5 c#2 b#5" for hosted in suspects})
        holding.watched(watch)
        await asyncio.gather(
            *(cast(Any, bench.trials.handle(hosted, in_hand(b"3-0", hosted.child_id))) for hosted in suspects)
        )
        assert bench.handler.most_at_once == 1 and len(bench.handler.handled) == 2
        first, second = "3-0 2 a#7 c#2 b#5", ""
        assert bench.marks() == [
            ("message room-1", first), ("message room-1", second),
            ("message room-2", first), ("message room-2", second),
        ]  # fmt: skip
        assert watch.marks == {}

    asyncio.run(scenario())


def test_others_are_handled_while_a_suspect_is_on_trial() -> None:
    async def scenario() -> None:
        bench, holding = Bench(), a_holding()
        suspect, other = a_child(holding, "room-1"), a_child(holding, "room-2")
        holding.watched(a_watch(**{"room-1": "3-0 2 b#5 c#2 b#5"}))
        bench.handler.may_end.clear()
        both = asyncio.gather(
            cast(Any, bench.trials.handle(suspect, in_hand(b"3-0"))),
            cast(Any, bench.trials.handle(other, in_hand(b"4-0", "room-2"))),
        )
        await bench.handler.begun.until(2)
        assert bench.handler.most_at_once == 2
        bench.handler.may_end.set()
        await both

    asyncio.run(scenario())


def test_a_message_whose_shard_is_another_nodes_is_not_begun() -> None:
    async def scenario() -> None:
        bench, hosted = Bench(word="fenced"), a_child(a_holding())
        hosted.holding.watched(a_watch())
        hosted.holding.lose()
        with pytest.raises(asyncio.CancelledError):
            await bench.trials.handle(hosted, in_hand(b"3-0"))
        assert bench.handler.handled == [] and bench.handler.put_back == ["3-0"]

    asyncio.run(scenario())


def test_a_message_is_not_begun_if_handlers_may_not_start_any_more_when_its_mark_is_written() -> None:
    """The answer was on its way while the process stood still: other nodes may own the shard by now."""

    async def scenario() -> None:
        bench, hosted = Bench(), a_child(a_holding())
        hosted.holding.watched(a_watch())
        bench.may_handle = False
        with pytest.raises(asyncio.CancelledError):
            await bench.trials.handle(hosted, in_hand(b"3-0"))
        assert bench.handler.handled == [] and bench.handler.put_back == ["3-0"], "it is the next one again"
        bench.may_handle = True
        await bench.trials.handle(hosted, in_hand(b"3-0"))
        assert [entry for entry, _ in bench.handler.handled] == ["3-0"]

    asyncio.run(scenario())


def test_a_message_that_is_undone_while_it_waits_for_its_trial_is_the_next_one_again() -> None:
    async def scenario() -> None:
        bench, holding = Bench(), a_holding()
        suspects = [a_child(holding, name) for name in ("room-1", "room-2")]
        holding.watched(a_watch(**{hosted.child_id: "3-0 2 b#5 c#2 b#5" for hosted in suspects}))
        bench.handler.may_end.clear()
        first, second = (
            asyncio.ensure_future(bench.trials.handle(hosted, in_hand(b"3-0", hosted.child_id))) for hosted in suspects
        )
        await bench.redis.until_asked(1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert bench.handler.put_back == ["3-0"]
        bench.handler.may_end.set()
        await first
        assert len(bench.handler.handled) == 1

    asyncio.run(scenario())
