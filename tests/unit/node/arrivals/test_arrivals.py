"""How shards come to a node."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hubq.core.handover import TargetEvent
from hubq.core.lifecycle import Life
from hubq.core.messages import Handover, StartChildren
from hubq.core.phase import Phase
from hubq.errors import RedisRefused
from hubq.node.arrivals import batches
from hubq.node.arrivals.under_way import MESSAGE_PATIENCE
from hubq.node.held.holding import Holding, HostedChild
from hubq.store.command import Command
from hubq.store.owners import Owner, Owners
from hubq.store.tries import Watch
from tests.unit.node.arrivals.arriving import STATE, TOOK_DOWN, Arriving
from tests.unit.node.fakes import a_child, a_holding, name_of
from tests.unit.node.movers import a_record, nodes, until


def test_a_shard_comes_with_its_states_and_opens_when_all_its_children_are_in() -> None:
    async def scenario() -> None:
        stage = Arriving()
        begin = stage.lives.begin

        def closed_still(hosted: HostedChild, *args: Any, **more: Any) -> None:
            assert hosted.holding.phase is Phase.COMING and stage.arrivals.coming(1)
            assert stage.copies.coming == {1}, "no copy of it is begun meanwhile"
            begin(hosted, *args, **more)

        stage.lives.begin = closed_still  # type: ignore[method-assign]
        held = await stage.adopt()
        assert held.open and stage.lives.begun == [("one", STATE, False), ("two", None, False)]
        assert stage.pumps.resumed == ["one", "two"] and stage.standing.token(1) == 5
        assert stage.events.added == [("shard_adopted", {"shard": 1, "children": 2, "token": 5})]
        assert stage.counters.taken_over == 1 and stage.sent() == ["wake"] and stage.copies.unfollowed == [1]
        assert not stage.copies.coming
        assert not stage.arrivals.coming(1) and not stage.ahead.announced(1)
        begun = list(stage.lives.begun)
        await stage.arrivals.adopt_shard(1, stage.owner)
        assert stage.lives.begun == begun, "it is not adopted twice under one token"

    asyncio.run(scenario())


def test_what_may_be_ours_in_redis_before_it_is_open_here_is_known() -> None:
    async def scenario() -> None:
        stage = Arriving()
        assert stage.arrivals.shards == set()
        begin = stage.lives.begin

        def closed_still(hosted: HostedChild, *args: Any, **more: Any) -> None:
            assert stage.arrivals.shards == {1}, "it is being adopted"
            begin(hosted, *args, **more)

        stage.lives.begin = closed_still  # type: ignore[method-assign]
        await stage.adopt()
        assert stage.lives.begun and stage.arrivals.shards == set(), "the holding is registered"
        with stage.arrivals.claiming([2, 3]):
            assert stage.arrivals.shards == {2, 3}
            stage.arrivals.forget_all()
        mine = stage.under_way.pins_begin(4, ["room"])
        await stage.ahead.start_children(StartChildren("b", 5, "id", ""))
        await stage.ahead.start_children(StartChildren("b", 6, "id", "one"))
        assert stage.arrivals.shards >= {4, 5}
        stage.under_way.pins_end(mine)
        assert 4 not in stage.arrivals.shards

    asyncio.run(scenario())


def test_a_handover_is_counted_with_its_pause_and_confirmed() -> None:
    async def scenario() -> None:
        stage = Arriving()
        closed_at = stage.standing.redis_now_ms() - 250
        message = Handover("b", 1, 5, "id", closed_at)
        await stage.arrivals.handed_over(message)
        kind, fields = stage.events.added[0]
        assert (kind, fields["source"], fields["pause_ms"]) == ("shard_migrated", "b", "250.00")
        assert stage.counters.moved_in == 1 and stage.counters.pauses.count == 2
        assert stage.sent() == ["wake", "handover_confirmed"]
        await stage.arrivals.handed_over(message)
        assert stage.sent()[2:] == ["handover_confirmed"], "it came by itself before the message did"

    asyncio.run(scenario())


def test_the_blocking_read_is_ended_by_the_request_that_reads_the_shard() -> None:
    async def scenario() -> None:
        stage = Arriving()
        await stage.arrivals.handed_over(Handover("b", 1, 5, "id", 0.0))
        requests = [[name_of(command) for command in asked] for asked in stage.redis.asked]
        assert requests[-2][0] == "HMGET" and requests[-2][-1] == "send_control" and requests[-1] == ["send_control"]
        assert stage.sent() == ["wake", "handover_confirmed"]

    asyncio.run(scenario())


def test_a_read_that_has_begun_meanwhile_is_ended_by_the_request_that_tells_the_source() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.reads_on = True
        await stage.arrivals.handed_over(Handover("b", 1, 5, "id", 0.0))
        requests = [[name_of(command) for command in asked] for asked in stage.redis.asked]
        assert requests[-1] == ["send_control"] * 2 and stage.sent() == ["wake", "wake", "handover_confirmed"]

    asyncio.run(scenario())


def test_the_pause_ends_when_no_read_is_under_way_that_does_not_name_the_shard() -> None:
    async def scenario(reads_on: bool) -> str:
        stage = Arriving()
        stage.reads_on = reads_on
        told = stage.replies.by_name["send_control"]

        def take(command: Command[Any]) -> str:
            if "handover_confirmed" in command.args:
                stage.clock.now += 1.0  # the request takes so long
            return str(told(command))

        stage.replies["send_control"] = take
        await stage.arrivals.handed_over(Handover("b", 1, 5, "id", stage.standing.redis_now_ms() - 250))
        return str(stage.events.added[0][1]["pause_ms"])

    assert asyncio.run(scenario(False)) == "250.00"
    assert asyncio.run(scenario(True)) == "1250.00"


def test_a_redis_that_takes_no_wake_still_tells_what_there_is_of_the_shard() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.replies["send_control"] = lambda command: RedisRefused("OOM") if "wake" in command.args else "1-0"
        with pytest.raises(RedisRefused):
            await stage.arrivals.handed_over(Handover("b", 1, 5, "id", 0.0))
        held = stage.register.get(1)
        assert held is not None and held.open and stage.events.added[0][0] == "shard_migrated"

    asyncio.run(scenario())


def test_a_source_whose_mailbox_is_of_another_type_does_not_keep_the_shard_from_being_read() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.reads_on = True
        spoilt = stage.keys.control("b")
        stage.replies["send_control"] = lambda command: RedisRefused("WRONGTYPE") if spoilt in command.args else "1-0"
        with pytest.raises(RedisRefused):
            await stage.arrivals.handed_over(Handover("b", 1, 5, "id", 0.0))
        assert stage.sent() == ["wake", "wake", "handover_confirmed", "wake", "handover_confirmed"]
        assert stage.events.added[0][0] == "shard_migrated" and stage.counters.moved_in == 1

    asyncio.run(scenario())


def test_a_message_that_comes_while_its_shard_is_adopted_is_confirmed_when_it_is_served() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.redis.may_answer.clear()
        first = asyncio.ensure_future(stage.adopt())
        await stage.redis.until_asked(1)
        second = asyncio.ensure_future(stage.arrivals.handed_over(Handover("b", 1, 5, "id", 0.0)))
        await asyncio.sleep(0)
        assert not second.done() and stage.arrivals.coming(1)
        stage.redis.may_answer.set()
        await asyncio.wait_for(asyncio.gather(first, second), 5)
        assert stage.sent() == ["wake", "handover_confirmed"]

    asyncio.run(scenario())


def test_the_first_token_of_a_shard_means_that_nobody_ever_had_its_children() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.owner = Owner("a", 7, 1)
        stage.owners = Owners({1: stage.owner}, {})
        await stage.adopt(claimed=True)
        assert [first for _, _, first in stage.lives.begun] == [True, True]

    asyncio.run(scenario())


def test_who_is_pinned_wanted_elsewhere_or_condemned_is_not_begun() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.wishes.seen(nodes(a=7, b=8))
        stage.specs = {
            "pinned": a_record(), "elsewhere": a_record(place="b guided"), "waits": a_record(place="c guided waits"),
            "guided": a_record(place="a guided"), "condemned": a_record(), "broken": a_record(), "again": a_record(),
        }  # fmt: skip
        stage.owners = Owners({1: stage.owner}, {(1, "pinned"): Owner("b", 8, 4)})
        stage.parked = {"condemned": TOOK_DOWN, "again": "no module"}
        stage.builder.broken = {"broken"}
        held = await stage.adopt()
        assert held.apart == {"pinned", "elsewhere", "waits"} and set(held.unplaced) == {"elsewhere", "waits"}
        assert held.guided == {"elsewhere", "waits", "guided"}
        lives = {name: hosted.life for name, hosted in held.children.items()}
        assert lives == {
            "guided": Life.RUNNING, "condemned": Life.PARKED, "broken": Life.PARKED, "again": Life.RUNNING
        }  # fmt: skip
        assert held.children["condemned"].reason == TOOK_DOWN
        assert held.effects.parked == {"again": ""}, "it runs again"
        assert await stage.plan_due.heard(within=5)

    asyncio.run(scenario())


def test_shards_that_nobody_serves_come_one_after_the_other_and_each_is_open_as_soon_as_it_is_ready() -> None:
    async def scenario() -> None:
        stage = Arriving()
        shards = range(1, 6)
        owners = {shard: Owner("a", 7, 5) for shard in shards}
        stage.owners = Owners(owners, {})
        for shard in shards:
            specs = {f"{shard}/{n}": a_record() for n in range(4)}
            stage.replies["HGETALL " + stage.keys.children(shard)] = specs
        build, seen = stage.builder.build, []

        def slowly(holding: Holding, child: str, record: Any) -> HostedChild:
            stage.clock.now += 0.005
            open_now = [shard for shard in shards if stage.register.get(shard) is not None]
            seen.append((child, len(open_now), stage.turns))
            return build(holding, child, record)

        stage.builder.build = slowly  # type: ignore[method-assign]
        counting = asyncio.ensure_future(stage.count_turns())
        await asyncio.gather(*(stage.arrivals.adopt_shard(shard, owners[shard], claimed=True) for shard in shards))
        counting.cancel()
        assert [child for child, _, _ in seen] == [f"{shard}/{n}" for shard in shards for n in range(4)]
        assert [number for _, number, _ in seen] == [n for n in range(5) for _ in range(4)]
        assert len({turn for _, _, turn in seen}) == 20, "the loop turns between any two slow children"
        assert len(stage.replies.of("HGETALL")) - 5 * 5 == 2, "owners are read for all of them together"

    asyncio.run(scenario())


def test_a_shard_whose_children_pause_waits_for_no_shard_that_nobody_serves() -> None:
    async def scenario() -> None:
        stage = Arriving()
        owners = {shard: Owner("a", 7, 5) for shard in (1, 2)}
        stage.owners = Owners(owners, {})
        stage.specs = {f"child-{n}": a_record() for n in range(100)}
        stage.replies["HGETALL " + stage.keys.children(2)] = {"hot": a_record()}
        build = stage.builder.build

        def slowly(holding: Holding, child: str, record: Any) -> HostedChild:
            stage.clock.now += 0.005
            return build(holding, child, record)

        stage.builder.build = slowly  # type: ignore[method-assign]
        cold = asyncio.ensure_future(stage.arrivals.adopt_shard(1, owners[1], claimed=True))
        await until(lambda: len(stage.builder.built) == 3)
        await stage.arrivals.handed_over(Handover("b", 2, 5, "id", 0.0, ""))
        assert stage.register.get(2) is not None and len(stage.builder.built) < 50 and not cold.done()
        await asyncio.wait_for(cold, 5)

    asyncio.run(scenario())


def test_a_handover_that_names_the_pins_needs_no_look_at_all_owners() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.owners = Owners({1: stage.owner}, {(1, "two"): Owner("b", 8, 5)})
        await stage.arrivals.handed_over(Handover("b", 1, 5, "id", 0.0, "two"))
        held = stage.register.get(1)
        assert held is not None and held.apart == {"two"} and set(held.children) == {"one"}
        assert ("HGETALL", stage.keys.owners) not in stage.replies.of("HGETALL")

    asyncio.run(scenario())


@pytest.mark.parametrize("pins", [None, "two"])
def test_a_source_of_an_older_version_does_not_name_the_pins(pins: str | None) -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.owners = Owners({1: stage.owner}, {(1, "two"): Owner("b", 8, 5)})
        await stage.arrivals.handed_over(Handover("b", 1, 5, "id", 0.0, pins))
        held = stage.register.get(1)
        assert held is not None and held.apart == {"two"}

    asyncio.run(scenario())


def test_undecided_batches_of_a_shard_are_watched_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "LOOK", 0.0)

    async def scenario() -> None:
        stage = Arriving()
        stage.marks = {"s:1": "b1"}
        look = ("GET", stage.keys.batch("b1"))
        stage.replies[" ".join(look)] = "open"
        await stage.adopt()
        await until(lambda: stage.replies.of("GET").count(look) > 1)
        await stage.end()

    asyncio.run(scenario())


def test_children_that_were_built_ahead_are_taken_if_they_are_still_the_same() -> None:
    async def scenario() -> None:
        stage = Arriving()
        await stage.ahead.start_children(StartChildren("b", 1, "id"))
        assert stage.builder.built == ["one", "two"]
        stage.specs = {"one": a_record(), "two": a_record("s:2")}  # it was stopped and started anew meanwhile
        held = await stage.adopt()
        assert stage.builder.built == ["one", "two", "two"]
        assert all(hosted.holding is held for hosted in held.children.values())

    asyncio.run(scenario())


def test_after_crashes_children_are_built_on_trial_and_begin_in_their_turn() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.watch = Watch((9, 0), "careful", ("b#1", "c#2"))
        held = await stage.adopt()
        assert stage.trials.built == ["one", "two"] and not stage.lives.begun
        assert stage.trials.watched == [(1, ["one", "two"])] and held.watch is stage.watch and held.open

    asyncio.run(scenario())


def test_copies_go_on_as_the_originals_of_a_claimed_shard() -> None:
    async def scenario() -> None:
        stage = Arriving()
        nowhere = a_holding(1)
        stage.copies.of_shard = {name: a_child(nowhere, name) for name in ("one", "two", "ended")}
        stage.copies.good = {"one", "ended"}
        held = await stage.adopt(claimed=True)
        assert stage.copies.begun == ["one"] and held.children["one"] is stage.copies.of_shard["one"]
        assert stage.builder.built == ["two"], "its copy is not as good as what is saved"
        assert held.children["one"].holding is held and not stage.copies.unfollowed

    asyncio.run(scenario())


def test_a_claimed_shard_that_is_lost_before_its_copies_begin_is_dropped_with_them() -> None:
    async def scenario() -> None:
        stage = Arriving()
        nowhere = a_holding(1)
        stage.copies.of_shard = {name: a_child(nowhere, name) for name in ("one", "ended")}
        stage.copies.good, stage.copies.is_ours = {"one"}, False
        await stage.arrivals.adopt_shard(1, stage.owner, claimed=True)
        assert stage.register.get(1) is None and ("fenced", {"shard": 1, "child": ""}) in stage.events.added
        assert stage.endings.disposed == [(["one", "two", "ended"], "fenced")]
        assert not stage.ahead.announced(1) and not stage.arrivals.coming(1)

    asyncio.run(scenario())


@pytest.mark.parametrize("line", [Owner("b", 8, 6), Owner("a", 7, 6)])
def test_a_shard_that_has_another_owner_line_by_now_is_not_served(line: Owner) -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.owners = Owners({1: line}, {})
        await stage.arrivals.adopt_shard(1, stage.owner)
        assert stage.register.get(1) is None and not stage.builder.built and not stage.ahead.announced(1)
        assert stage.standing.token(1) == 0, "the next look may adopt it under the token that it has now"

    asyncio.run(scenario())


def test_a_node_that_is_evicted_while_a_shard_comes_drops_it() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.redis.may_answer.clear()
        adopting = asyncio.ensure_future(stage.arrivals.adopt_shard(1, stage.owner))
        await stage.redis.until_asked(1)
        stage.arrivals.forget_all()
        stage.redis.may_answer.set()
        await asyncio.wait_for(adopting, 5)
        assert stage.register.get(1) is None and not stage.lives.begun and stage.standing.token(1) == 0
        assert (await stage.adopt()).open, "it may come again"

    asyncio.run(scenario())


def test_what_fails_is_tried_again_at_the_next_look() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.parking.placeholder = None  # type: ignore[assignment]  # any error will do
        stage.builder.broken = {"two"}
        with pytest.raises(TypeError):
            await stage.arrivals.adopt_shard(1, stage.owner)
        assert stage.standing.token(1) == 4 and not stage.ahead.announced(1) and not stage.arrivals.coming(1)
        stage.builder.broken = set()
        assert (await stage.adopt()).open

    asyncio.run(scenario())


def test_a_shard_whose_message_may_still_come_is_waited_for_a_moment() -> None:
    async def scenario() -> None:
        stage = Arriving()
        assert not stage.arrivals.coming(1)
        stage.ahead.moved(1, TargetEvent.START_CHILDREN)
        assert stage.arrivals.coming(1)
        stage.clock.now += MESSAGE_PATIENCE
        assert not stage.arrivals.coming(1)

    asyncio.run(scenario())


def test_a_reserved_shard_is_adopted_by_nobody_until_it_is_released() -> None:
    async def scenario() -> None:
        stage = Arriving()
        last = a_holding(1, 5)
        stage.arrivals.reserve(last)
        await stage.arrivals.adopt_shard(1, stage.owner)
        assert stage.register.get(1) is None and stage.arrivals.coming(1)
        stage.arrivals.release(last)
        assert (await stage.adopt()).open
        other = a_holding(2, 5)
        stage.arrivals.reserve(other)
        stage.arrivals.forget_all()
        assert other.gone

    asyncio.run(scenario())
