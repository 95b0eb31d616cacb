"""What a node follows, how it reads the logs, and what it tells those who follow it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from hubq.core.lifecycle import LifeEvent
from hubq.core.replication import LogPosition
from hubq.errors import RedisUnavailable
from hubq.node.copies.none import NoCopies
from hubq.node.copies.protocol import Copies
from hubq.store.command import Command
from hubq.store.owners import Owner, Owners
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import TOOK_DOWN
from tests.unit.node.copies.bench import Account, Bench, Room, a_state, a_view, entry
from tests.unit.node.fakes import Seen, a_child, a_holding

OWNERS = Owners({0: Owner("b", 2, 1)}, {})


def the_shard(**parked: str) -> Any:
    """Redis has an account, a room and their states; some of them may be parked."""
    specs = {"account-1": SpecRecord("Account", "tests", "s:1"), "room-1": SpecRecord("Room", "tests", "s:1")}

    def answer(command: Command[Any]) -> Any:
        key = str(command.args[1])
        if "children" in key:
            return specs
        return {"account-1": a_state("Account", 2)} if "msk" in key else parked

    return answer


def following(**answers: Any) -> Bench:
    """A node that may follow from entry 7 on."""
    return Bench(**{"follow_shard": lambda command: LogPosition(7, "100-0"), "HGETALL": the_shard(), **answers})


def test_a_shard_of_another_node_is_followed_and_what_it_lacks_is_asked_for() -> None:
    async def scenario() -> None:
        bench = following()
        bench.replicas.look(a_view("a", "b", s0="b"), Owners({}, {(0, "room-9"): Owner("c", 3, 1)}))
        await bench.background.done()
        replica = bench.followed.get(0)
        assert replica is not None and replica.reading and not replica.ready
        assert replica.waiting == {"room-1"} and replica.holding.open
        account = replica.holding.children["account-1"].instance
        assert isinstance(account, Account) and account.sum == 2
        keys = bench.group.keys
        sent = {str(command.args[3]) for commands in bench.redis.asked for command in commands if len(command.args) > 3}
        # b, and c who has a pin of the shard, are asked; a is woken: there is a log to read.
        assert {keys.control(node) for node in "abc"} <= sent
        assert bench.replicas.children() == list(replica.holding.children.values())

    asyncio.run(scenario())


def test_a_child_whose_start_took_nodes_down_has_no_copy() -> None:
    async def scenario() -> None:
        bench = following(HGETALL=the_shard(**{"room-1": f"{TOOK_DOWN} a and b"}))
        bench.replicas.look(a_view("a", "b", s0="b"), OWNERS)
        await bench.background.done()
        replica = bench.followed.get(0)
        assert replica is not None and list(replica.holding.children) == ["account-1"] and replica.ready

    asyncio.run(scenario())


def test_who_is_no_member_follows_nothing() -> None:
    async def scenario() -> None:
        bench = following(follow_shard=lambda command: None)
        bench.replicas.look(a_view("a", "b", s0="b"), OWNERS)
        await bench.background.done()
        assert bench.followed.all() == []

    asyncio.run(scenario())


def test_a_shard_that_could_not_be_followed_is_tried_again_at_the_next_look() -> None:
    async def scenario() -> None:
        bench = following(follow_shard=lambda command: RedisUnavailable("away"))
        bench.replicas.look(a_view("a", "b", s0="b"), OWNERS)
        await bench.background.done()
        assert bench.followed.all() == []

    asyncio.run(scenario())


def test_what_is_forgotten_while_it_is_being_built_is_built_no_further() -> None:
    async def scenario() -> None:
        bench = following()
        bench.redis.may_answer.clear()
        bench.replicas.look(a_view("a", "b", s0="b"), OWNERS)
        await bench.redis.until_asked(1)
        replica = bench.followed.get(0)
        assert replica is not None
        bench.replicas.forget_all()
        bench.redis.may_answer.set()
        await bench.background.done()
        assert replica.holding.gone and replica.holding.children == {} and not replica.reading

    asyncio.run(scenario())


def test_under_another_owner_states_that_msk_may_not_have_are_doubted() -> None:
    async def scenario() -> None:
        bench = Bench()
        replica = bench.follow(owner="c")
        bench.copy(replica, "account-1", Account), bench.copy(replica, "room-1", Room)
        bench.replicas.look(a_view("a", "b", s0="b"), OWNERS)
        assert replica.owner == "b" and replica.doubted == {"room-1"}
        await bench.redis.until_asked(1)
        await bench.background.stop()

    asyncio.run(scenario())


def test_a_shard_that_is_coming_here_is_not_followed_by_a_view_in_which_it_is_elsewhere() -> None:
    async def scenario() -> None:
        bench = following()
        with bench.replicas.arriving(0):
            bench.replicas.look(a_view("a", "b", s0="b"), OWNERS)
            assert bench.followed.get(0) is None
        bench.replicas.look(a_view("a", "b", s0="b"), OWNERS)
        assert bench.followed.get(0) is not None, "it did not stay"
        await bench.background.done()
        await bench.background.stop()

    asyncio.run(scenario())


def test_a_shard_is_followed_no_more_when_another_node_should_but_not_while_it_is_coming_here() -> None:
    async def scenario() -> None:
        bench = Bench()
        for shard in range(3):
            bench.follow(shard)
        # Shard 0 is coming here, shard 1 has no owner; shard 2 is here already, and nobody else's copy is wanted of it.
        bench.register.hold(a_holding(2))
        bench.replicas.look(a_view("a", "b", s0="a", s1=None, s2="a"), Owners({}, {}))
        assert [replica.shard for replica in bench.followed.all()] == [0, 1]
        await bench.redis.until_asked(1)
        assert bench.redis.names() == ["unfollow_shard"]
        bench.replicas.unfollow(2)  # it is not followed
        await bench.background.done()
        assert bench.redis.names() == ["unfollow_shard"]
        await bench.background.stop()

    asyncio.run(scenario())


def test_a_shard_that_has_come_here_since_the_view_was_read_is_not_followed() -> None:
    bench = Bench()
    bench.register.hold(a_holding(0))
    bench.replicas.look(a_view("a", "b", s0="b"), OWNERS)
    assert bench.followed.all() == []


def test_the_heirs_of_a_shard_are_its_followers_if_its_owner_has_gone() -> None:
    bench = Bench()
    view = a_view("a", "c", s0=None, s1="c")
    owners = {0: Owner("b", 2, 1), 1: Owner("c", 3, 1), 2: Owner("-", 0, 0)}
    assert bench.replicas.heirs({0: "a", 1: "c"}, view, owners) == {0: "a"}


def test_it_is_said_once_that_there_are_fewer_copies_than_wanted(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    with caplog.at_level(logging.WARNING, "hubq.node"):
        for _ in range(2):
            bench.replicas.look(a_view("a", s0="a"), Owners({}, {}))
    assert caplog.text.count("2 copies of each child are wanted; with 1 node(s) there are 1") == 1


def test_followers_are_told_the_states_that_msk_does_not_hold() -> None:
    async def scenario() -> None:
        bench = Bench()
        holding, gone = a_holding(0), a_holding(0, pinned="room-9")
        for shard in (holding, gone):
            bench.register.hold(shard)
        room, _ = a_running_child(holding, "room-1", Room), a_running_child(holding, "account-1", Account)
        a_running_child(gone, "room-9", Room)
        gone.lose()
        await bench.replicas.snapshots(0)
        assert [(item.kind, item.child) for item in holding.effects.log] == [("state", "room-1")]
        assert room.boundary is not None and not gone.effects.log

    asyncio.run(scenario())


def a_running_child(holding: Any, child: str, kind: Any) -> Any:
    """A child that runs."""
    hosted = a_child(holding, child, kind)
    hosted.moved(LifeEvent.RESTORED)
    hosted.moved(LifeEvent.STARTED)
    return hosted


def test_logs_are_read_and_the_reader_says_how_far_it_is() -> None:
    async def scenario() -> None:
        reads, reports = Seen(), []
        pages = [{0: [entry(8, "message", "account-1", of="2-0", word="ok")]}]

        def read(command: Command[Any]) -> Any:
            reads.again()
            return (pages.pop(0), "5-0") if pages else ({}, "5-0")

        def report(command: Command[Any]) -> Any:
            reports.append(command.args[-3:])
            return 8

        bench = Bench(XREAD=read, report_replica=report)
        replica = bench.follow()
        hosted = bench.copy(replica, "account-1")
        bench.replicas.start()
        await reads.until(2)
        assert hosted.queue is not None and len(hosted.queue) == 1 and replica.position.number == 8
        assert reports == [(8, "108-0", "ready")]
        await bench.replicas.stop()
        assert bench.followed.all() == [] and bench.endings.disposed == [(["account-1"], "replica")]
        assert replica.holding.gone

    asyncio.run(scenario())


@pytest.mark.parametrize("why", ["a gap", "not known any more"])
def test_who_has_lost_the_thread_begins_anew(why: str) -> None:
    async def scenario() -> None:
        page = {0: [entry(10, "saved", "account-1")]} if why == "a gap" else {}
        bench = Bench(XREAD=lambda command: (page, "5-0"), report_replica=lambda command: None)
        replica = bench.follow()
        bench.reader.start()
        assert await bench.plan_due.heard(within=5.0)
        assert bench.followed.all() == [] and replica.holding.gone
        await bench.reader.stop()
        await bench.background.stop()

    asyncio.run(scenario())


def test_the_log_of_a_shard_with_a_full_copy_waits() -> None:
    async def scenario() -> None:
        reads: list[tuple[Any, ...]] = []
        seen = Seen()

        def read(command: Command[Any]) -> Any:
            reads.append(tuple(command.args))
            seen.again()
            entries = [entry(8 + n, "message", "account-1", of=f"{2 + n}-0", word="ok") for n in range(4)]
            return ({0: entries} if len(reads) == 1 else {}, "5-0")

        bench = Bench(XREAD=read, report_replica=lambda command: 11)
        bench.copy(bench.follow(), "account-1")
        bench.reader.start()
        await seen.until(2)
        log = bench.group.keys.log(0)
        assert log in reads[0] and log not in reads[1]
        await bench.reader.stop()

    asyncio.run(scenario())


def test_a_hub_with_one_copy_of_each_child_asks_nothing_of_redis() -> None:
    async def scenario() -> None:
        none: Copies = NoCopies()
        none.start()
        none.look(a_view("a", "b", s0="b"), OWNERS)
        none.unfollow(0)
        none.forget_all()
        await none.snapshots(0)
        hosted = a_child(a_holding())
        assert await none.take_over(0) == {} == none.heirs({0: "a"}, a_view("a", s0=None), OWNERS.shards)
        assert not none.adopt(hosted, None) and await none.taken_over(a_holding(), {}, {}) and none.children() == []
        await none.stop()

    asyncio.run(scenario())
