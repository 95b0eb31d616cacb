"""Reads run beside the handler in hand, on a copy of the last message boundary, and change nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest

from hubq.core.child import Child
from hubq.core.classes import as_child_class
from hubq.core.lifecycle import Life
from hubq.core.method_marks import read
from hubq.node.children import read_copies
from hubq.node.children.read_copies import MOST_COPIES, ReadCopies
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.sizes import Sizes
from hubq.store.message import Message
from hubq.store.tries import Watch
from tests.unit.node.fakes import REDIS_MS, Seen
from tests.unit.node.household import Household, call, replies
from tests.unit.node.movers import until


class Board(Child):
    begun: ClassVar[Seen]
    may_end: ClassVar[asyncio.Event]
    transient = ("socket",)

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.socket = object()

    async def write(self, line: str) -> None:
        self.lines.append(line)

    async def write_slowly(self, line: str) -> None:
        self.lines.append(f"half of {line}")
        self.begun.again()
        await self.may_end.wait()
        self.lines[-1] = line

    @read
    async def all(self) -> list[str]:
        return self.lines

    @read
    def in_thread(self) -> bool:
        return threading.current_thread() is threading.main_thread()

    @read
    async def wait(self) -> int:
        self.begun.again()
        await self.may_end.wait()
        return len(self.lines)

    @read
    async def spoil(self) -> None:
        self.lines.append("spoilt")

    @read
    async def attach(self) -> None:
        self.lock = threading.Lock()

    @read
    async def tell(self) -> None:
        self.publish("told", 1)

    @read
    async def leave(self) -> None:
        self.stop()

    @read
    async def raises(self) -> None:
        raise ValueError("no board")

    @read
    async def unsendable(self) -> object:
        return threading.Lock()

    @read
    async def who(self) -> tuple[str, str, bool]:
        return self.child_id, self.node_name, hasattr(self, "socket")


@asynccontextmanager
async def home() -> AsyncIterator[tuple[Household, HostedChild]]:
    """A board with one line."""
    Board.begun, Board.may_end = Seen(), asyncio.Event()
    async with Household() as house:
        house.classes.register(as_child_class(Board))
        board = house.child(Board)
        await house.handled(board, call("write", "first", entry="1-0"))
        house.commit()
        yield house, board


async def answers(house: Household, *messages: Message) -> list[tuple[str, object]]:
    """What comes of these reads, in the order of their answers."""
    board, before = house.shard.children["room-1"], len(house.committed)
    for message in messages:
        assert house.reads.begin(board, message)
    await until(lambda: sum(map(len, house.shard.effects.replies.values())) == len(messages))
    house.commit()
    return [answer for effects in house.committed[before:] for answer in replies(effects)]


def test_it_sees_the_last_boundary_while_a_handler_is_in_hand_and_its_answer_goes_with_a_commit() -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            house.pumps.offer(board, call("write_slowly", "second", entry="2-0"))
            await Board.begun.until(1)
            assert await answers(house, call("all", entry="3-0")) == [("ok", ["first"])]
            assert house.committed[-1].done == {"room-1": [b"3-0"]} and not house.committed[-1].states
            Board.may_end.set()
            await house.handled(board)
            house.commit()
            assert await answers(house, call("all", entry="4-0")) == [("ok", ["first", "second"])]

    asyncio.run(scenario())


def test_it_runs_on_a_copy_that_has_the_state_and_knows_where_it_is() -> None:
    async def scenario() -> None:
        async with home() as (house, _):
            assert await answers(house, call("who")) == [("ok", ("room-1", "a", False))]
            assert await answers(house, call("in_thread", entry="6-0")) == [("ok", False)]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("method", "word", "says"),
    [
        ("spoil", "read_changed", "is a @read and has changed the child: the change was dropped"),
        ("attach", "read_changed", "is a @read and has changed the child"),
        ("tell", "outside_handler", "a @read runs on a copy and only looks"),
        ("leave", "outside_handler", "a @read runs on a copy and only looks"),
        ("raises", "failed", "no board"),
        ("unsendable", "not_sendable", "the result of unsendable cannot be"),
    ],
)
def test_what_it_may_not_do_is_told_and_leaves_nothing(method: str, word: str, says: str) -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            ((told, text),) = await answers(house, call(method))
            assert says in str(text), text
            assert told in (word, "failed")
            assert await answers(house, call("all", entry="6-0")) == [("ok", ["first"])]
            assert house.committed[-1].said == [] and board.life is Life.RUNNING

    asyncio.run(scenario())


def test_one_that_is_overdue_is_not_run() -> None:
    async def scenario() -> None:
        async with home() as (house, _):
            ((word, text),) = await answers(house, call("all", deadline=REDIS_MS - 1))
            assert word == "overdue" and "its deadline had passed" in str(text)

    asyncio.run(scenario())


def test_reads_of_one_child_run_side_by_side_and_one_that_is_read_again_runs_once() -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            for entry in ("5-0", "6-0", "5-0"):
                assert house.reads.begin(board, call("wait", entry=entry))
            await Board.begun.until(2)
            Board.may_end.set()
            await until(lambda: sum(map(len, house.shard.effects.replies.values())) == 2)
            house.commit()
            assert house.committed[-1].done == {"room-1": [b"5-0", b"6-0"]}

    asyncio.run(scenario())


def test_it_waits_for_its_turn_where_nothing_can_be_said_of_the_state() -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            house.shard.begin_departure(["room-1"])
            assert not house.reads.begin(board, call("all"))
            house.shard.end_departure(["room-1"])
            house.shard.watched(Watch((9, 0), "open", ("b#1",)))
            assert not house.reads.begin(board, call("all", entry="9-0")), "it may take the node down"
            house.shard.watched(None)
            house.shard.close_intake()
            assert not house.reads.begin(board, call("all"))
            house.shard.open_intake()
            assert house.reads.begin(board, call("all"))

    asyncio.run(scenario())


def test_under_watch_one_that_came_after_the_crash_runs_beside_the_others() -> None:
    """A pin is watched for as long as it is apart, since its shard's owner ends the watch."""

    async def scenario() -> None:
        async with home() as (house, _):
            house.shard.watched(Watch((9, 0), "open", ("b#1",)))
            assert await answers(house, call("all", entry="9-1")) == [("ok", ["first"])]

    asyncio.run(scenario())


def test_an_answer_that_is_ready_while_its_child_moves_goes_only_if_the_child_stays() -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            assert house.reads.begin(board, call("wait"))
            await Board.begun.until(1)
            house.shard.close_intake()
            Board.may_end.set()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not house.shard.effects.replies, "its next node may read the message"
            house.shard.open_intake()
            await until(lambda: bool(house.shard.effects.replies))

    asyncio.run(scenario())


def test_an_answer_waits_while_its_child_is_being_passed_to_another_node() -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            assert house.reads.begin(board, call("wait"))
            await Board.begun.until(1)
            house.shard.begin_departure([board.child_id])
            Board.may_end.set()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not house.shard.effects.replies, "it may be answered by the node that gets it"
            house.shard.end_departure([board.child_id])  # it stays
            await until(lambda: bool(house.shard.effects.replies))

    asyncio.run(scenario())


def test_when_the_child_has_ended_meanwhile_its_caller_is_told() -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            assert house.reads.begin(board, call("wait"))
            await Board.begun.until(1)
            house.endings.end(board)
            Board.may_end.set()
            await until(lambda: bool(house.shard.effects.replies))
            house.commit()
            assert [word for word, _ in replies(house.committed[-1])] == ["unknown_child"]

    asyncio.run(scenario())


def test_one_that_is_cancelled_ends_and_is_answered_once() -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            assert house.reads.begin(board, call("wait"))
            await Board.begun.until(1)
            assert not house.reads.cancel(board, "another", "client")
            assert house.reads.cancel(board, "m5-0", "client")
            Board.may_end.set()
            for _ in range(20):
                await asyncio.sleep(0)
            house.commit()
            assert [word for word, _ in replies(house.committed[-1])] == ["cancelled"]

    asyncio.run(scenario())


# -- the copies ----------------------------------------------------------------------------------------------------


def test_a_copy_is_kept_until_its_child_has_another_state() -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            copies = ReadCopies(Sizes(house.group.config))
            first = copies.of(board)
            assert copies.of(board) is first and not first.changed
            await house.handled(board, call("write", "second"))
            second = copies.of(board)
            assert second is not first and vars(second.instance)["lines"] == ["first", "second"]
            copies.drop(board)
            assert copies.of(board) is not second

    asyncio.run(scenario())


def test_only_so_many_are_kept_and_those_that_were_used_longest_ago_go_first() -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            copies = ReadCopies(Sizes(house.group.config))
            first = copies.of(board)
            others = [house.child(Board, child=f"other-{n}") for n in range(MOST_COPIES)]
            for other in others[:-1]:
                copies.of(other)
            assert copies.of(board) is first
            second = copies.of(others[1])
            copies.of(others[-1])
            assert copies.of(board) is first and copies.of(others[1]) is second

    asyncio.run(scenario())


def test_copies_of_large_states_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with home() as (house, board):
            other = house.child(Board, child="other")
            copies = ReadCopies(Sizes(house.group.config))
            first = copies.of(board)
            monkeypatch.setattr(read_copies, "MOST_BYTES", len(first.boundary))
            second = copies.of(other)
            assert copies.of(other) is second, "one is kept, however large"
            assert copies.of(board) is not first

    asyncio.run(scenario())
