"""What was being read when a child came is not believed: it may hold messages that have been handled since."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.core.lifecycle import Life, LifeEvent
from hubq.core.phase import Phase
from hubq.errors import RedisUnavailable
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.recorder import NoRecorder
from hubq.node.held.register import Register
from hubq.node.mailbox import reader as reader_module
from hubq.node.mailbox.catching_up import CatchingUp
from hubq.node.mailbox.reader import Reader, next_count
from hubq.node.mailbox.spoilt import SpoiltMailboxes
from hubq.store.command import Command
from hubq.store.message import Message
from hubq.store.owners import Owner
from hubq.store.spec_record import SpecRecord
from hubq.testing.patching import replaced
from tests.unit.node.fakes import Clock, FakeRedis, Here, a_group
from tests.unit.node.movers import until


class Offers:
    """Pumps that only listen, and keep what they hear if they are told to."""

    def __init__(self, *, keep: bool = False) -> None:
        self.waiting, self.hurry = 0, False
        self.offered: list[tuple[str, bytes]] = []
        self.refused: list[bytes] = []
        self._keep = keep

    def refuse_unknown(self, holding: Holding, message: Message) -> None:
        self.refused.append(message.entry)

    def offer(self, hosted: HostedChild, message: Message) -> None:
        self.offered.append((hosted.child_id, message.entry))
        if self._keep:
            hosted.offer(message)


class Offered:
    """Delivery that offers every message to its child."""

    def __init__(self, offers: Offers) -> None:
        self._offers = offers

    def deliver(self, holding: Holding, message: Message) -> None:
        self._offers.offer(holding.children[message.child], message)


def message(entry: bytes, child: str, size: int = 0) -> Message:
    return Message(entry, "call", child, "record", "1", "c", 0, bytes(size))


def running(holding: Holding, child: str) -> HostedChild:
    hosted = HostedChild(cast(Any, Here()), holding, child, SpecRecord("", "", ""))
    hosted.moved(LifeEvent.RESTORED)
    hosted.moved(LifeEvent.STARTED)
    assert hosted.life is Life.RUNNING
    holding.attach(hosted)
    return hosted


@pytest.mark.parametrize(
    ("full", "bytes_each", "count"),
    [(0, 10, 100), (1, 10, 2000), (4, 10, 500), (50, 10, 100), (1, 10_000, 100), (1, 1000, 1000), (2, 0, 1000)],
)
def test_more_is_read_at_once_behind_a_flood_within_bounds(full: int, bytes_each: int, count: int) -> None:
    assert next_count([[bytes_each] * 100] * full, usual=100, most_bytes=1_000_000) == count


def test_a_shard_that_comes_while_no_read_listens_is_named_by_the_next_one() -> None:
    """Nobody has to wake the reader then."""

    async def scenario() -> None:
        redis = FakeRedis(lambda command: ({}, b"1-0"))
        group, cursors = a_group(redis, Clock(), read_count=100), Cursors()
        catching_up = CatchingUp(group, cursors, cast(Any, None), cast(Any, None), cast(Any, None))
        reports = cast(Any, None)
        reader = Reader(
            group, cursors, cast(Any, Offers()), cast(Any, None), catching_up, reports, SpoiltMailboxes(group, cursors, reports)
        )  # fmt: skip
        redis.may_answer.clear()
        reader.start()
        await redis.until_asked(1)
        assert cursors.listens
        redis.may_answer.set()
        await until(lambda: not cursors.listens)
        redis.may_answer.clear()
        Register(cursors, Outboxes()).hold(Holding(5, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN))
        await until(lambda: cursors.listens)
        assert group.keys.mailbox(5) in redis.asked[-1][0].args
        await reader.stop()
        assert not cursors.listens

    asyncio.run(scenario())


def test_while_calls_come_the_next_read_goes_out_at_once_but_for_a_backlog() -> None:
    async def reads(waiting: int, hurry: bool) -> int:
        """How many are sent in 300 turns of the loop."""
        redis = FakeRedis(lambda command: ({}, b"0"))
        group, cursors, pumps = a_group(redis, Clock(), read_count=100), Cursors(), Offers()
        pumps.waiting, pumps.hurry = waiting, hurry
        catching_up = CatchingUp(group, cursors, cast(Any, pumps), cast(Any, None), cast(Any, None))
        spoilt, reports = SpoiltMailboxes(group, cursors, cast(Any, None)), cast(Any, None)
        reader = Reader(group, cursors, cast(Any, pumps), cast(Any, None), catching_up, reports, spoilt)
        reader.start()
        for _ in range(300):
            await asyncio.sleep(0)
        await reader.stop()
        return len(redis.asked)

    async def scenario() -> None:
        usual = await reads(20, hurry=False)
        assert await reads(0, hurry=True) == await reads(8, hurry=True) == await reads(1_000, hurry=False) == usual
        assert await reads(9, hurry=True) > 1.5 * usual
        assert await reads(501, hurry=True) < usual / 1.5

    asyncio.run(scenario())


def test_a_page_that_was_asked_for_before_a_child_came_back_tells_nothing_about_it() -> None:
    async def scenario() -> None:
        pages = iter([[message(b"5-0", "late")], []])
        redis = FakeRedis(lambda command: next(pages))
        redis.may_answer.clear()
        group, cursors, offers = a_group(redis, Clock(), read_count=100, queue_limit=10), Cursors(), Offers()
        catching_up = CatchingUp(group, cursors, cast(Any, offers), cast(Any, None), cast(Any, None))
        holding = Holding(0, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN)
        children = {child: running(holding, child) for child in ("neighbour", "late")}
        Register(cursors, Outboxes()).hold(holding)
        cursors.by_shard[0] = b"9-0"
        work = asyncio.create_task(catching_up.work())
        cursors.again(children["neighbour"])
        await redis.until_asked(1)
        cursors.again(children["late"])  # its last owner has handled 5-0 meanwhile, and gives it back now
        redis.may_answer.set()
        await catching_up.idle()
        assert offers.offered == [] and len(redis.asked) == 2 and holding.behind == {}
        work.cancel()

    asyncio.run(scenario())


def test_the_messages_of_a_child_that_is_being_started_are_left_alone_until_it_has_begun() -> None:
    """Its start has been read, and its spec not yet. Others of its shard are caught up with meanwhile."""

    async def scenario() -> None:
        entries = [message(b"5-0", "neighbour"), message(b"7-0", "new")]
        redis = FakeRedis(lambda command: entries)
        group, cursors, offers = a_group(redis, Clock(), read_count=100, queue_limit=10), Cursors(), Offers()
        catching_up = CatchingUp(group, cursors, cast(Any, offers), cast(Any, offers), cast(Any, None))
        holding = Holding(0, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN)
        neighbour = running(holding, "neighbour")
        Register(cursors, Outboxes()).hold(holding)
        cursors.by_shard[0] = b"9-0"
        work = asyncio.create_task(catching_up.work())
        assert cursors.start_begins(holding, "new", b"6-0") is None
        cursors.again(neighbour)
        await redis.until_asked(1)
        await catching_up.idle()
        assert offers.refused == [] and offers.offered == [("neighbour", b"5-0")]
        assert holding.behind == {"new": b"6-0"}
        assert cursors.start_ends(holding, "new", b"6-0")
        cursors.again(running(holding, "new"), b"6-0")
        await redis.until_asked(2)
        await catching_up.idle()
        assert offers.offered[1:] == [("new", b"7-0")] and not holding.behind
        work.cancel()

    asyncio.run(scenario())


def test_what_a_late_holding_was_brought_before_redis_went_away_is_not_brought_again() -> None:
    """A shard comes to a node that reads its mailbox already, for a pin. Its second page is lost."""

    async def scenario() -> None:
        entries, asked = [b"1-0", b"2-0", b"3-0"], 0

        def answer(command: Command[Any]) -> Any:
            nonlocal asked
            asked += 1
            after = bytes(command.args[2]).lstrip(b"(-")  # type: ignore[arg-type]
            return RedisUnavailable("away") if asked == 2 else [message(e, "a") for e in entries if e > after][:2]

        redis = FakeRedis(answer)
        group, cursors, offers = a_group(redis, Clock(), read_count=2, queue_limit=10), Cursors(), Offers()
        delivery = Offered(offers)
        catching_up = CatchingUp(group, cursors, cast(Any, offers), cast(Any, offers), cast(Any, delivery))
        cursors.by_shard[0] = b"9-0"
        holding = Holding(0, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN)
        running(holding, "a")
        work = asyncio.create_task(catching_up.work())
        Register(cursors, Outboxes()).hold(holding)
        await redis.until_asked(3)
        await catching_up.idle()
        assert offers.offered == [("a", b"1-0"), ("a", b"2-0"), ("a", b"3-0")] and cursors.in_step(holding)
        work.cancel()

    asyncio.run(scenario())


def test_what_falls_behind_while_its_holding_catches_up_is_caught_up_with_too() -> None:
    async def scenario() -> None:
        redis = FakeRedis(lambda command: [message(b"5-0", "neighbour"), message(b"6-0", "late")])
        redis.may_answer.clear()
        group, cursors, offers = a_group(redis, Clock(), read_count=100, queue_limit=10), Cursors(), Offers()
        catching_up = CatchingUp(group, cursors, cast(Any, offers), cast(Any, None), cast(Any, None))
        holding = Holding(0, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN)
        children = {child: running(holding, child) for child in ("neighbour", "late")}
        Register(cursors, Outboxes()).hold(holding)
        cursors.by_shard[0] = b"9-0"
        work = asyncio.create_task(catching_up.work())
        cursors.again(children["neighbour"])
        await redis.until_asked(1)
        cursors.again(children["late"])
        redis.may_answer.set()
        await redis.until_asked(2)
        await catching_up.idle()
        assert offers.offered == [("neighbour", b"5-0"), ("late", b"6-0")] and holding.behind == {}
        work.cancel()

    asyncio.run(scenario())


def test_what_falls_behind_in_the_moment_in_which_its_holding_is_done_is_not_forgotten() -> None:
    """The task has looked for the last time, and has not ended yet, when the loop hears of the child. (It has been woken by
    other news.)
    """

    async def scenario() -> None:
        pages = iter([[message(b"5-0", "neighbour")], [message(b"6-0", "late")]])
        redis = FakeRedis(lambda command: next(pages))
        redis.may_answer.clear()
        group, cursors, offers = a_group(redis, Clock(), read_count=100, queue_limit=10), Cursors(), Offers()
        catching_up = CatchingUp(group, cursors, cast(Any, offers), cast(Any, None), cast(Any, None))
        holding = Holding(0, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN)
        children = {child: running(holding, child) for child in ("neighbour", "late")}
        Register(cursors, Outboxes()).hold(holding)
        cursors.by_shard[0] = b"9-0"
        work = asyncio.create_task(catching_up.work())
        cursors.again(children["neighbour"])
        await redis.until_asked(1)
        await asyncio.sleep(0)  # it waits for the answer
        asyncio.get_running_loop().call_soon(cursors.bell.ring)
        redis.may_answer.set()
        await asyncio.sleep(0)
        assert offers.offered == [("neighbour", b"5-0")] and holding.behind == {}
        cursors.again(children["late"])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await catching_up.idle()
        assert offers.offered == [("neighbour", b"5-0"), ("late", b"6-0")] and holding.behind == {}
        work.cancel()

    asyncio.run(scenario())


def test_nothing_is_brought_to_a_holding_that_went_while_its_page_was_read() -> None:
    async def scenario() -> None:
        redis = FakeRedis(lambda command: [message(b"5-0", "late")])
        redis.may_answer.clear()
        group, cursors, offers = a_group(redis, Clock(), read_count=100, queue_limit=10), Cursors(), Offers()
        catching_up = CatchingUp(group, cursors, cast(Any, offers), cast(Any, None), cast(Any, None))
        holding = Holding(0, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN)
        late = running(holding, "late")
        register = Register(cursors, Outboxes())
        register.hold(holding)
        cursors.by_shard[0] = b"9-0"
        work = asyncio.create_task(catching_up.work())
        cursors.again(late)
        await redis.until_asked(1)
        register.drop(holding)
        redis.may_answer.set()
        await catching_up.idle()
        assert offers.offered == []
        work.cancel()

    asyncio.run(scenario())


def test_pages_are_as_small_as_large_messages_ask_for_also_when_its_queue_has_room_again() -> None:
    async def scenario() -> None:
        asked: list[int] = []

        def page(command: Any) -> list[Message]:
            asked.append(int(command.args[-1]))
            return [message(b"%d-0" % (1000 * len(asked) + number), "large", 250) for number in range(asked[-1])]

        redis = FakeRedis(page)
        group = a_group(redis, Clock(), read_count=100, queue_limit=1000, queue_bytes=1000)
        cursors, offers = Cursors(), Offers(keep=True)
        catching_up = CatchingUp(group, cursors, cast(Any, offers), cast(Any, None), cast(Any, None))
        holding = Holding(0, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN)
        large = running(holding, "large")
        Register(cursors, Outboxes()).hold(holding)
        cursors.by_shard[0] = b"9999-0"
        work = asyncio.create_task(catching_up.work())
        cursors.again(large)
        await redis.until_asked(1)
        await catching_up.idle()
        for times in (2, 3):
            large.drop_queue()
            cursors.room(large)
            await redis.until_asked(times)
            await catching_up.idle()
        assert asked[0] == 100 and set(asked[1:]) == {4}, asked
        work.cancel()

    asyncio.run(scenario())


def test_nobody_catches_up_after_the_end() -> None:
    async def scenario() -> None:
        redis = FakeRedis(lambda command: [])
        group, cursors = a_group(redis, Clock(), read_count=100, queue_limit=10), Cursors()
        catching_up = CatchingUp(group, cursors, cast(Any, Offers()), cast(Any, None), cast(Any, None))
        holding = Holding(0, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN)
        late = running(holding, "late")
        Register(cursors, Outboxes()).hold(holding)
        cursors.by_shard[0] = b"9-0"
        before = asyncio.all_tasks()
        work = asyncio.create_task(catching_up.work())
        cursors.again(late)
        await redis.until_asked(1)
        (catching,) = asyncio.all_tasks() - before - {work}
        cursors.again(late)  # its task looks again when it has ended
        await until(catching.done)
        redis.may_answer.clear()  # what is read from here on does not end by itself
        cursors.again(late)
        work.cancel()
        await catching_up.stop()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    asyncio.run(scenario())


def test_a_reader_that_was_woken_waits_for_the_shard_that_is_about_to_open() -> None:
    async def scenario() -> None:
        numbers = iter(range(1, 100))
        redis = FakeRedis(lambda command: ({}, b"%d-0" % next(numbers)))  # each read has heard a wake
        group, cursors = a_group(redis, Clock(), read_count=100), Cursors()
        catching_up = CatchingUp(group, cursors, cast(Any, None), cast(Any, None), cast(Any, None))
        reports = cast(Any, None)
        reader = Reader(
            group, cursors, cast(Any, Offers()), cast(Any, None), catching_up, reports, SpoiltMailboxes(group, cursors, reports)
        )  # fmt: skip
        redis.may_answer.clear()
        cursors.coming_begins()
        reader.start()
        await redis.until_asked(1)
        redis.may_answer.set()
        await until(lambda: not cursors.listens)
        redis.may_answer.clear()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not cursors.listens and len(redis.asked) == 1
        Register(cursors, Outboxes()).hold(Holding(5, Owner("a", 7, 1), NoRecorder(), phase=Phase.OPEN))
        cursors.coming_ends()
        await until(lambda: cursors.listens)
        assert group.keys.mailbox(5) in redis.asked[1][0].args
        await reader.stop()

    with replaced(reader_module, "COMING", lambda _: 60.0):
        asyncio.run(scenario())


def test_nobody_waits_for_long_for_a_shard_that_does_not_open() -> None:
    async def scenario() -> None:
        cursors = Cursors()
        await cursors.all_have_come(60.0)  # none is coming
        cursors.coming_begins()
        await cursors.all_have_come(0.0)

    asyncio.run(scenario())
