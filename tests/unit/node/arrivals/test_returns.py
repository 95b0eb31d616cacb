"""How a child whose pin was released comes back to its shard."""

from __future__ import annotations

import asyncio

import pytest

from hubq.core.lifecycle import Life
from hubq.core.messages import PinReleased, StartChildren
from hubq.errors import RedisUnavailable
from hubq.store.owners import Owner, Owners
from hubq.store.tries import Watch
from tests.unit.node.arrivals.arriving import STATE, TOOK_DOWN, Arriving
from tests.unit.node.movers import a_record, nodes


def test_a_child_whose_pin_is_gone_is_served_by_its_shard_again() -> None:
    async def scenario() -> None:
        stage = Arriving()
        held = stage.serves("one")
        turn, _ = stage.cursors.begin_read([1])
        assert not stage.cursors.is_stale(1, turn)
        closed_at = stage.standing.redis_now_ms() - 250
        await stage.arrivals.pin_released(PinReleased("b", 1, "one", closed_at))
        assert stage.lives.begun == [("one", STATE, False)] and not held.apart
        assert stage.cursors.is_stale(1, turn), "a read under way may hold what its pin has handled"
        assert held in stage.cursors.set_back and held.effects.parked == {"one": ""}
        assert stage.events.added == [
            ("child_migrated", {"shard": 1, "child": "one", "source": "b", "pause_ms": "250.00"})
        ]
        await stage.arrivals.welcome(1, "one")
        assert len(stage.lives.begun) == 1, "it is not apart any more"

    asyncio.run(scenario())


def test_without_a_message_its_return_is_no_migration() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.serves("one")
        await stage.arrivals.welcome(1, "one")
        assert stage.lives.begun and not stage.events.added and stage.counters.moved_in == 0

    asyncio.run(scenario())


def test_a_pin_that_went_while_its_shard_was_adopted_tells_the_pause_later() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.owners = Owners({1: stage.owner}, {(1, "one"): Owner("b", 8, 4)})
        stage.redis.may_answer.clear()
        adopting = asyncio.ensure_future(stage.adopt())
        await stage.redis.until_asked(1)
        await stage.arrivals.pin_released(PinReleased("b", 1, "one", stage.standing.redis_now_ms() - 250))
        await stage.arrivals.pin_released(PinReleased("b", 1, "two", 1.0))
        stage.redis.may_answer.set()
        held = await asyncio.wait_for(adopting, 5)
        assert held.apart == {"one"}
        await stage.arrivals.welcome(1, "one")  # at the next look
        assert stage.events.added[-1][1]["pause_ms"] == "250.00"
        assert stage.under_way.take_early(1, "two") is None, "it was there when the shard came"

    asyncio.run(scenario())


@pytest.mark.parametrize("why", ["pinned again", "another token", "departs", "waits", "lost", "leaves", "taken back"])
def test_news_that_is_old_by_the_time_it_was_looked_up_is_dropped(why: str) -> None:
    async def scenario() -> None:
        stage = Arriving()
        held = stage.serves("one")
        stage.watch = Watch((9, 0), "starting", ("c#1",))
        stage.redis.may_answer.clear()
        coming = asyncio.ensure_future(stage.arrivals.welcome(1, "one"))
        await stage.redis.until_asked(1)
        match why:
            case "pinned again":
                stage.pins = {"one": Owner("c", 9, 6)}
            case "another token":
                held.owned_by(Owner("a", 7, 6))
            case "departs":
                held.begin_departure(["one"])
            case "waits":
                held.wait_for_place("one", a_record())
            case "lost":
                stage.register.drop(held)
            case "leaves":
                held.begin_motion()
                held.close_intake()
            case _:
                held.take_back("one")
        stage.redis.may_answer.set()
        await asyncio.wait_for(coming, 5)
        assert not stage.builder.built
        assert stage.trials.watched == ([] if why == "lost" else [(1, [])]), "the watch is of the whole shard"

    asyncio.run(scenario())


@pytest.mark.parametrize("stay", [False, True])
def test_one_that_is_wanted_elsewhere_waits_for_its_node_unless_it_is_to_stay(stay: bool) -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.wishes.seen(nodes(a=7, b=8))
        held = stage.serves("one")
        stage.specs = {"one": a_record(place="b guided")}
        await stage.arrivals.welcome(1, "one", stay=stay)
        assert bool(stage.builder.built) is stay and ("one" in held.unplaced) is not stay and held.guided == {"one"}

    asyncio.run(scenario())


def test_a_watch_that_began_meanwhile_is_seen_to() -> None:
    async def scenario() -> None:
        stage = Arriving()
        held = stage.serves("one", "two")
        stage.watch = Watch((9, 0), "open", ("b#1",))
        await stage.arrivals.welcome(1, "one")
        await stage.arrivals.welcome(1, "two")
        assert stage.trials.watched == [(1, [])] and held.watch is stage.watch

    asyncio.run(scenario())


def test_a_watch_is_seen_to_though_the_child_goes_on_to_another_node() -> None:
    """What a crash of its pin's node has left in ``tries`` is of the whole shard. If nobody watched, it would stay."""

    async def scenario() -> None:
        stage = Arriving()
        stage.wishes.seen(nodes(a=7, b=8))
        held = stage.serves("one")
        stage.specs = {"one": a_record(place="b guided")}
        stage.watch = Watch((9, 0), "starting", ("c#1",))
        await stage.arrivals.welcome(1, "one")
        assert "one" in held.unplaced and not stage.builder.built
        assert stage.trials.watched == [(1, [])] and held.watch is stage.watch

    asyncio.run(scenario())


def test_one_that_has_ended_or_cannot_run_here_is_not_begun() -> None:
    async def scenario() -> None:
        stage = Arriving()
        held = stage.serves("one", "ended")
        stage.builder.broken = {"one"}
        stage.specs = {"one": a_record()}
        await stage.arrivals.welcome(1, "ended")
        assert held.behind == {"ended": b"0"}, "what was left for it goes back to its senders"
        await stage.arrivals.welcome(1, "one")
        assert held.children["one"].life is Life.PARKED and await stage.plan_due.heard(within=5)
        assert not stage.lives.begun and not stage.events.added

    asyncio.run(scenario())


def test_one_that_was_built_here_when_it_was_offered_is_taken() -> None:
    async def scenario() -> None:
        stage = Arriving()
        held = stage.serves("one")
        stage.specs = {"one": a_record()}
        await stage.ahead.start_children(StartChildren("b", 1, "id", "one"))
        await stage.arrivals.welcome(1, "one")
        assert stage.builder.built == ["one"] and held.children["one"].holding is held
        assert stage.lives.begun == [("one", STATE, False)]

    asyncio.run(scenario())


def test_one_whose_start_took_nodes_down_returns_condemned() -> None:
    async def scenario() -> None:
        stage = Arriving()
        held = stage.serves("one", "two")
        stage.parked = {"one": TOOK_DOWN, "two": "no module"}
        await stage.arrivals.welcome(1, "one", closed_at=1.0, source="b")
        assert held.children["one"].life is Life.PARKED and held.children["one"].reason == TOOK_DOWN
        assert not stage.builder.built and not stage.lives.begun and not held.apart - {"two"}
        assert not held.effects.parked and not stage.events.added, "it stands in Redis, and has not moved in"
        await stage.arrivals.welcome(1, "two")
        assert stage.builder.built == ["two"] and held.effects.parked == {"two": ""}

    asyncio.run(scenario())


def test_the_reads_of_a_return_may_fail() -> None:
    async def scenario() -> None:
        stage = Arriving()
        held = stage.serves("one")
        stage.replies["HGET"] = RedisUnavailable("away")
        with pytest.raises(RedisUnavailable):
            await stage.arrivals.welcome(1, "one")
        assert held.apart == {"one"}, "the next look welcomes it again"

    asyncio.run(scenario())


@pytest.mark.parametrize("dormant", [0, 3])
def test_of_dormant_children_it_knows_whether_there_are_some_and_when_one_expires(dormant: int) -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.dormant, stage.expiry_ms = dormant, 9_000.0 if dormant else float("inf")
        held = await stage.adopt()
        assert held.has_dormant is bool(dormant)
        assert stage.expiries.next_ms() == (9_000.0 if dormant else None)

    asyncio.run(scenario())
