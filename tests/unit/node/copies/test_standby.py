"""A node that has claimed a shard goes on from its copies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from hubq.core.lifecycle import LifeEvent
from hubq.core.phase import Phase
from hubq.errors import RedisUnavailable
from hubq.node.copies import standby
from hubq.node.held.state import take_state
from hubq.store.command import Command
from hubq.store.message import Message
from hubq.store.replica_log import LogEntry
from tests.unit.node.copies.bench import Account, Bench, Diary, Room, a_state, entry
from tests.unit.node.fakes import a_holding, in_hand_of


def with_log(entries: Sequence[LogEntry] = (), last: int = 7, active_active: bool = True) -> Bench:
    """The log has these entries past the seventh; ``last`` is the number of its last one."""
    return Bench(active_active=active_active, HGET=lambda command: last, XRANGE=lambda command: list(entries))


def a_message(of: bytes = b"5-0") -> Message:
    return Message(of, "cast", "child", "join", "0", "", 0, b"")


def test_the_copies_of_a_shard_that_is_not_followed_are_none() -> None:
    async def scenario() -> None:
        bench = Bench()
        assert await bench.standby.take_over(0) == {} and bench.redis.asked == []

    asyncio.run(scenario())


def test_what_is_left_of_the_log_is_taken_in_and_the_holding_is_not_lost() -> None:
    async def scenario() -> None:
        bench = with_log([entry(8, "message", "account-1", of="2-0", word="ok")], last=8)
        replica = bench.follow()
        hosted = bench.copy(replica, "account-1")
        take_over = asyncio.create_task(bench.standby.take_over(0))
        await bench.pumps.resumes.until(1)  # it may finish what it has
        assert replica.holding.open and hosted.queue is not None and bench.followed.get(0) is None
        hosted.withdraw(0)
        hosted.tell()
        assert await take_over == {"account-1": hosted}
        assert replica.holding.phase is Phase.CLOSED
        await bench.redis.until_asked(2)
        assert bench.redis.names()[-1] == "unfollow_shard"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("entries", "last"), [([], 8), ([entry(9, "message", "account-1", of="2-0", word="ok")], 9)], ids=["cut", "gap"]
)
def test_copies_that_lack_something_end(entries: list[LogEntry], last: int) -> None:
    async def scenario() -> None:
        bench = with_log(entries, last)
        replica = bench.follow()
        bench.copy(replica, "account-1")
        assert await bench.standby.take_over(0) == {}
        assert replica.holding.gone and bench.followed.all() == []
        await bench.endings.disposals.until(1)
        assert bench.endings.disposed == [(["account-1"], "replica")]

    asyncio.run(scenario())


def test_copies_that_are_dropped_while_the_log_is_read_are_not_taken() -> None:
    async def scenario() -> None:
        bench = with_log()
        replica = bench.follow()
        bench.copy(replica, "account-1")
        bench.redis.may_answer.clear()
        take_over = asyncio.create_task(bench.standby.take_over(0))
        await bench.redis.until_asked(1)
        bench.followed.drop(0)
        bench.redis.may_answer.set()
        assert await take_over == {} and replica.holding.gone

    asyncio.run(scenario())


def test_a_shard_whose_copies_are_still_being_built_is_built_from_redis() -> None:
    async def scenario() -> None:
        bench = with_log()
        replica = bench.follow()
        replica.leaves_log()
        assert await bench.standby.take_over(0) == {} and bench.followed.get(0) is None and replica.holding.gone

    asyncio.run(scenario())


def test_of_copies_that_do_not_finish_those_are_taken_whose_state_is_nowhere_else(monkeypatch: Any) -> None:
    monkeypatch.setattr(standby, "PATIENCE", 0.01)

    async def scenario() -> None:
        bench = with_log()
        replica = bench.follow()
        account, room, diary = (
            bench.copy(replica, name, kind) for name, kind in (("account", Account), ("room", Room), ("diary", Diary))
        )
        for hosted in (account, room, diary):
            hosted.offer(a_message())
            in_hand_of(hosted, a_message(b"4-0"), asyncio.create_task(ends_with(hosted)))
        waiting, doubted = bench.copy(replica, "waiting"), bench.copy(replica, "doubted", Room)
        replica.waits_for("waiting")
        replica.doubted.add("doubted")
        starting = bench.copy(replica, "starting", runs=False)
        starting.moved(LifeEvent.RESTORED)
        idle = bench.copy(replica, "idle")
        taken = await bench.standby.take_over(0)
        assert taken == {"room": room, "diary": diary, "idle": idle}
        assert room.queue and room.busy  # it goes on with them as the original
        assert diary.queue is None and not diary.busy  # the mailbox or msk has them
        await bench.endings.disposals.until(1)
        assert bench.endings.disposed == [(["account", "waiting", "doubted"], "replica")]
        assert waiting.holding is doubted.holding is replica.holding
        for hosted in (account, room):
            assert hosted.in_hand is not None
            hosted.in_hand.cancel()

    asyncio.run(scenario())


async def ends_with(hosted: Any) -> None:
    """A handler that goes on until it is cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        hosted.hand_empty()


def test_a_copy_of_a_child_that_saves_each_message_goes_on_as_msk_says() -> None:
    bench = Bench()
    replica = bench.follow()
    hosted = bench.copy(replica, "account-1")
    assert bench.standby.adopt(hosted, None)  # it has never been saved
    assert bench.standby.adopt(hosted, a_state("Account", 4, "6-0"))
    assert isinstance(hosted.instance, Account) and hosted.instance.sum == 4
    assert (hosted.saved, hosted.cursor) == (True, "6-0")
    assert not bench.standby.adopt(hosted, None)  # what it has came from msk, and is there no more
    handed = a_state("Account", 4)
    assert not bench.standby.adopt(hosted, type(handed)("handed", "6-0", handed.data))


def test_any_other_copy_is_newer_than_msk_unless_it_was_slow() -> None:
    bench = Bench()
    replica = bench.follow()
    hosted = bench.copy(replica, "diary-1", Diary)
    hosted.laid(take_state(hosted, 1000), "6-0")
    assert bench.standby.adopt(hosted, None) and not hosted.saved
    assert bench.standby.adopt(hosted, a_state("Diary", 1, "6-0"))
    assert not bench.standby.adopt(hosted, a_state("Diary", 1, "6-1"))


def test_newer_copies_are_saved_with_the_messages_they_hold_before_they_go_on() -> None:
    async def scenario() -> None:
        messages = [
            Message(b"5-0", "cast", "diary-1", "write", "0", "", 0, b""),
            Message(b"6-0", "start", "diary-1", "", "0", "", 0, b""),
            Message(b"6-1", "call", "diary-1", "write", "0", "", 0, b""),
            Message(b"6-1", "call", "account-1", "add", "0", "", 0, b""),
        ]
        bench = Bench(XRANGE=lambda command: messages)
        replica, holding = bench.follow(), a_holding()
        diary, account, room = (
            bench.copy(replica, name, kind, runs=name != "account-1")
            for name, kind in (("diary-1", Diary), ("account-1", Account), ("room-1", Room))
        )
        for hosted in (diary, room):
            hosted.taken(take_state(hosted, 1000))
            hosted.holds_until("6-0")
        left = bench.copy(replica, "left-1")
        copies = {hosted.child_id: hosted for hosted in (diary, account, room, left)}
        taken = {child: hosted for child, hosted in copies.items() if hosted is not left}
        bench.committer.answers = [RedisUnavailable("away"), "ok"]
        assert await bench.standby.taken_over(holding, taken, copies)
        assert bench.endings.disposed == [(["left-1"], "replica")]
        effects = bench.committer.committed[-1]
        assert sorted(effects.states) == ["diary-1", "room-1"] and effects.done == {"diary-1": [b"5-0"]}
        assert len(bench.committer.committed) == 2 and bench.committer.renewed == 1
        assert diary.saved and room.saved
        assert bench.lives.seen == [
            ("goes on", "diary-1"), ("began", "diary-1"), ("begin", "account-1"), ("goes on", "room-1"), ("began", "room-1"),
        ]  # fmt: skip

    asyncio.run(scenario())


def test_nothing_is_started_in_a_shard_that_is_another_nodes_by_now() -> None:
    async def scenario() -> None:
        bench = Bench()
        hosted = bench.copy(bench.follow(), "room-1", Room)
        hosted.taken(take_state(hosted, 1000))
        bench.committer.answers = ["fenced"]
        assert not await bench.standby.taken_over(a_holding(), {"room-1": hosted}, {"room-1": hosted})
        assert bench.lives.seen == [] and not hosted.saved

        bench.committer.answers = ["ok"]  # but this node has become void meanwhile
        bench.group.standing.void([0])
        assert not await bench.standby.taken_over(a_holding(), {"room-1": hosted}, {"room-1": hosted})

        bench.committer.answers = [RedisUnavailable("away")]
        with pytest.raises(RedisUnavailable):
            await bench.standby.taken_over(a_holding(), {"room-1": hosted}, {"room-1": hosted})
        assert bench.lives.seen == []

    asyncio.run(scenario())


def test_a_long_mailbox_is_read_in_parts(monkeypatch: Any) -> None:
    monkeypatch.setattr(standby, "COUNT", 2)
    pages = [
        [Message(entry, "cast", "diary-1", "write", "0", "", 0, b"") for entry in (b"1-0", b"2-0")],
        [Message(b"3-0", "cast", "diary-1", "write", "0", "", 0, b"")],
    ]
    asked: list[Command[Any]] = []

    def answer(command: Command[Any]) -> Any:
        asked.append(command)
        return pages.pop(0)

    async def scenario() -> None:
        bench = Bench(XRANGE=answer)
        hosted = bench.copy(bench.follow(), "diary-1", Diary)
        hosted.taken(take_state(hosted, 1000))
        hosted.holds_until("9-0")
        assert await bench.standby.taken_over(a_holding(), {"diary-1": hosted}, {"diary-1": hosted})
        assert bench.committer.committed[0].done == {"diary-1": [b"1-0", b"2-0", b"3-0"]}
        assert asked[1].args[2] == b"(2-0"

    asyncio.run(scenario())
