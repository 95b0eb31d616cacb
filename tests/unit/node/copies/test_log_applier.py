"""What the entries of a shard's log do to the copies of its children."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq.core.lifecycle import Life
from hubq.errors import RedisUnavailable
from hubq.store.command import Command
from hubq.store.spec_record import SpecRecord
from tests.unit.node.copies.bench import Account, Bench, Room, a_state, entry


def the_answers(spec: SpecRecord, state: Any = None) -> Any:
    """Redis has one child, and perhaps its state."""

    def answer(command: Command[Any]) -> Any:
        if command.args[0] != "HMGET":
            return command.read([])
        is_specs = "children" in str(command.args[1])
        return command.read([spec.written() if is_specs else None if state is None else state.written()])

    return answer


def test_messages_of_the_log_are_queued_in_order_once_and_only_if_they_left_a_trace() -> None:
    async def scenario() -> None:
        bench = Bench()
        replica = bench.follow()
        hosted = bench.copy(replica, "account-1")
        assert await bench.applier.take_in(
            replica,
            [
                entry(6, "message", "account-1", of="1-0", word="ok"),  # seen
                entry(8, "message", "account-1", of="2-0", word="ok", payload=b"arguments"),
                entry(9, "message", "account-1", of="3-0", word="undone"),
                entry(10, "message", "account-1", of="2-0", word="ok"),  # written twice
                entry(11, "message", "nobody", of="4-0", word="ok"),
            ],
        )
        assert hosted.queue is not None and [m.entry for m in hosted.queue] == [b"2-0"]
        message = hosted.queue[0]
        assert (message.kind, message.method, message.payload, message.reply_to) == ("cast", "join", b"arguments", "")
        assert (replica.position.number, replica.position.entry) == (11, "111-0")

    asyncio.run(scenario())


def test_a_gap_in_the_numbers_or_a_redis_that_is_away_means_to_begin_anew() -> None:
    async def scenario() -> None:
        bench = Bench(HMGET=lambda command: RedisUnavailable("away"))
        replica = bench.follow()
        assert not await bench.applier.take_in(replica, [entry(9, "message", "account-1", of="2-0", word="ok")])
        assert not await bench.applier.take_in(replica, [entry(8, "saved", "account-1")])

    asyncio.run(scenario())


def test_a_started_child_is_built_unless_it_is_known_or_was_started_anew_since() -> None:
    async def scenario() -> None:
        bench = Bench(HMGET=the_answers(SpecRecord("Account", "tests", "s:2"), a_state("Account", 5, "4-0")))
        replica = bench.follow()
        before = bench.copy(replica, "account-1")
        assert await bench.applier.take_in(replica, [entry(8, "start", "account-1", word="s:1")])
        assert replica.holding.children["account-1"] is before and bench.redis.asked == []

        assert await bench.applier.take_in(replica, [entry(9, "start", "account-1", word="s:2")])
        hosted = replica.holding.children["account-1"]
        assert isinstance(hosted.instance, Account) and hosted.instance.sum == 5 and hosted.life is Life.RUNNING
        assert (hosted.saved, hosted.cursor) == (True, "4-0") and not replica.is_next("account-1", "4-0")
        await bench.endings.disposals.until(1)
        assert bench.endings.disposed == [(["account-1"], "stopped")]  # the one of before

        assert await bench.applier.take_in(replica, [entry(10, "start", "account-2", word="s:1")])
        assert "account-2" not in replica.holding.children

    asyncio.run(scenario())


def test_no_copy_is_built_for_a_replica_that_ended_meanwhile() -> None:
    """Nobody would end it, and it would be told that it is passive after the original here has been told that it is active."""

    async def scenario() -> None:
        answer = the_answers(SpecRecord("Account", "tests", "s:2"))

        def it_ends(command: Command[Any]) -> Any:
            replica.end()
            return answer(command)

        bench = Bench(active_active=False, HMGET=it_ends)
        replica = bench.follow()
        entries = [entry(8, "start", "account-1", word="s:2"), entry(9, "start", "account-2", word="s:2")]
        assert await bench.applier.take_in(replica, entries), "there is nothing to begin anew"
        assert replica.holding.children == {} and bench.signals.told == []
        assert len(bench.redis.asked) == 1, "the second child is not looked for"

    asyncio.run(scenario())


def test_a_child_that_has_ended_ends_here_when_it_has_handled_what_it_has() -> None:
    async def scenario() -> None:
        bench = Bench()
        replica = bench.follow()
        hosted = bench.copy(replica, "account-1")
        entries = [entry(8, "message", "account-1", of="2-0", word="ok"), entry(9, "end", "account-1", word="s:0")]
        assert await bench.applier.take_in(replica, entries)
        assert replica.holding.children == {"account-1": hosted}  # that was one of before
        assert await bench.applier.take_in(replica, [entry(10, "end", "account-1", word="s:1")])
        assert replica.holding.children == {}
        await asyncio.sleep(0)
        assert bench.endings.disposed == []
        assert hosted.queue is not None
        hosted.withdraw(0)
        hosted.tell()
        await bench.endings.disposals.until(1)
        assert bench.endings.disposed == [(["account-1"], "stopped")]

    asyncio.run(scenario())


@pytest.mark.parametrize("active_active", [True, False])
def test_a_state_is_laid_at_once_or_in_its_turn(active_active: bool) -> None:
    async def scenario() -> None:
        bench = Bench(active_active=active_active)
        replica = bench.follow()
        hosted = bench.copy(replica, "room-1", Room, runs=active_active)
        replica.waits_for("room-1")
        envelope = a_state("Room", 3)
        entries = [
            entry(8, "message", "room-1", of="1-0", word="ok"),  # nothing to apply it to yet
            entry(9, "state", "room-1", payload=envelope.written()),
        ]
        assert await bench.applier.take_in(replica, entries)
        assert not replica.doubts("room-1") and not replica.is_next("room-1", "5-0")
        if active_active:
            assert hosted.queue is not None and [m.kind for m in hosted.queue] == ["state"]
            assert hosted.queue[0].payload == envelope.written()
        else:
            assert isinstance(hosted.instance, Room) and hosted.instance.count == 3

    asyncio.run(scenario())


def test_saved_states_are_read_once_for_all_entries_and_not_if_the_log_brought_a_newer_one() -> None:
    async def scenario() -> None:
        bench = Bench(active_active=False, HMGET=the_answers(SpecRecord("", "", ""), a_state("Account", 9)))
        replica = bench.follow()
        hosted = bench.copy(replica, "account-1", runs=False)
        assert await bench.applier.take_in(replica, [entry(8, "saved", "account-1"), entry(9, "saved", "account-1")])
        assert len(bench.redis.asked) == 1
        assert isinstance(hosted.instance, Account) and hosted.instance.sum == 9
        assert await bench.applier.take_in(
            replica,
            [
                entry(10, "saved", "account-1"),
                entry(11, "state", "account-1", payload=a_state("Account", 10).written()),
            ],
        )
        assert len(bench.redis.asked) == 1 and hosted.instance.sum == 10

    asyncio.run(scenario())


def test_there_is_no_copy_of_a_child_that_cannot_be_built_restored_or_started_here() -> None:
    async def scenario() -> None:
        bench = Bench()
        replica = bench.follow()
        await bench.applier.build(replica, "ghost-1", SpecRecord("Ghost", "tests", "s:1"), None)
        broken = a_state("Account", 1)
        await bench.applier.build(
            replica, "account-1", SpecRecord("Account", "tests", "s:1"), type(broken)("attributes", "5-0", b"nonsense")
        )
        assert replica.holding.children == {}
        await bench.applier.build(replica, "broken", SpecRecord("Greeter", "tests", "s:1"), None)
        await bench.applier.build(replica, "greeter-1", SpecRecord("Greeter", "tests", "s:1"), None)
        greeter = replica.holding.children["greeter-1"]
        assert greeter.life is Life.STARTING
        await bench.pumps.resumes.until(1)
        assert greeter.open and bench.signals.told == [("greeter-1", "active")]
        assert list(replica.holding.children) == ["greeter-1"]

    asyncio.run(scenario())


def test_copies_that_wait_are_passive_and_are_not_started() -> None:
    async def scenario() -> None:
        bench = Bench(active_active=False)
        replica = bench.follow()
        await bench.applier.build(replica, "greeter-1", SpecRecord("Greeter", "tests", "s:1"), None)
        assert replica.holding.children["greeter-1"].life is Life.BUILT
        assert bench.signals.told == [("greeter-1", "passive")]

    asyncio.run(scenario())


def test_only_copies_that_were_started_are_stopped() -> None:
    async def scenario() -> None:
        bench = Bench()
        replica = bench.follow()
        runs, waits = bench.copy(replica, "account-1"), bench.copy(replica, "account-2", runs=False)
        await bench.applier.dispose([runs, waits])
        assert bench.endings.disposed == [(["account-1"], "replica")] and waits.life is Life.ENDED

    asyncio.run(scenario())
