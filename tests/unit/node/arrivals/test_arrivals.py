"""How shards and single children come to a node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from hubq.core.handover import TargetEvent
from hubq.core.lifecycle import Life
from hubq.core.messages import ChildrenPassed, Handover, PinReleased, StartChildren
from hubq.core.phase import Phase
from hubq.core.wish import Wish
from hubq.errors import RedisUnavailable
from hubq.node.arrivals import batches
from hubq.node.arrivals.account import Account
from hubq.node.arrivals.ahead import AheadBuilt
from hubq.node.arrivals.arrivals import Arrivals
from hubq.node.arrivals.batches import Batches
from hubq.node.arrivals.entrance import Entrance
from hubq.node.arrivals.pins import PinArrivals
from hubq.node.arrivals.returns import Returns
from hubq.node.arrivals.shards import ShardArrivals
from hubq.node.arrivals.under_way import MESSAGE_PATIENCE, UnderWay
from hubq.node.copies.none import NoCopies
from hubq.node.held.due_times import DueTimes
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.outboxes import Outboxes
from hubq.node.held.recorder import NoRecorder
from hubq.node.runtime.gathered_log import GatheredLog
from hubq.store.command import Command
from hubq.store.envelope import Envelope
from hubq.store.owners import Owner, Owners
from hubq.store.tries import Watch
from hubq.strategies.migration import HotSwap, MigrationTraits
from tests.unit.node.fakes import FakePauses, FakeReports, a_child, a_holding
from tests.unit.node.movers import Stage, a_record, nodes, until

STATE = Envelope("attributes", "5-0", b"state")
TOOK_DOWN = "starting it took down b and c"


class Trials:
    """Remembers what was built on trial, and what is watched."""

    def __init__(self) -> None:
        self.built: list[str] = []
        self.watched: list[tuple[int, list[str]]] = []

    @asynccontextmanager
    async def building(self, holding: Holding, child: str) -> AsyncIterator[None]:
        self.built.append(child)
        yield

    def watch(self, holding: Holding, waiting: Sequence[tuple[HostedChild, Any]] = ()) -> None:
        self.watched.append((holding.shard, [hosted.child_id for hosted, _ in waiting]))


class SomeCopies(NoCopies):
    """Copies of shard 1: ``is_ours`` says whether the shard is still ours when they are to begin."""

    def __init__(self) -> None:
        self.of_shard: dict[str, HostedChild] = {}
        self.good: set[str] = set()
        self.is_ours = True
        self.begun: list[str] = []
        self.unfollowed: list[int] = []

    def unfollow(self, shard: int) -> None:
        self.unfollowed.append(shard)

    async def take_over(self, shard: int) -> dict[str, HostedChild]:
        return dict(self.of_shard)

    def adopt(self, copy: HostedChild, saved: Envelope | None) -> bool:
        return copy.child_id in self.good

    async def taken_over(self, holding: Holding, taken: Any, copies: Any) -> bool:
        assert not holding.open
        if self.is_ours:
            self.begun += taken
        return self.is_ours


class Straggling:
    """Remembers which pins are to return."""

    def __init__(self) -> None:
        self.following: list[str | None] = []

    def follow(self, pin: Holding, retention: float, *, serving: bool) -> None:
        assert serving and pin.open
        self.following.append(pin.pinned)


class Arriving(Stage):
    """A stage to which shard 1 comes, with the children ``one`` and ``two``; this node holds shard 0 already."""

    def __init__(self) -> None:
        super().__init__()
        self.trials, self.copies, self.straggling = Trials(), SomeCopies(), Straggling()
        self.under_way, self.pausing = UnderWay(), FakePauses()
        self.batches = Batches(
            self.group, self.background, self.register, cast(Any, self.endings), cast(Any, FakeReports())
        )
        gathered, builder = GatheredLog(), cast(Any, self.builder)
        self.ahead = AheadBuilt(self.group, cast(Any, self.events), gathered, builder, HotSwap(), self.pieces)
        account = Account(self.standing, cast(Any, self.events), gathered, self.hooks, self.counters)
        entrance = Entrance(
            cast(Any, self.builder), cast(Any, self.parking), cast(Any, self.lives), cast(Any, self.trials), self.copies
        )
        self.expiries = DueTimes()
        self.arrivals = Arrivals(
            self.group, self.register, self.under_way, self.ahead,
            ShardArrivals(
                self.group, cast(Any, self.events), self.register, self.queue, self.plan_due, NoRecorder(),
                cast(Any, self.pumps), cast(Any, self.endings), cast(Any, self.trials), self.copies, self.pieces,
                self.under_way, self.ahead, self.wishes, self.batches, entrance, account, self.expiries,
                cast(Any, self.pausing),
            ),
            PinArrivals(
                self.group, self.register, self.cursors, self.queue, self.plan_due, NoRecorder(), cast(Any, self.pumps),
                MigrationTraits(), self.under_way, self.ahead, self.wishes, entrance, account, self.straggling,
                self.pieces, cast(Any, self.pausing),
            ),
            Returns(
                self.group, self.register, self.cursors, self.queue, Outboxes(), self.plan_due,
                cast(Any, self.trials), self.under_way, self.ahead, self.wishes, entrance, account, self.pieces,
                cast(Any, self.pausing),
            ),
        )  # fmt: skip
        self.owner = Owner("a", 7, 5)
        self.owners = Owners({1: self.owner}, {})
        self.specs = {"one": a_record(), "two": a_record()}
        self.states = {"one": STATE}
        self.parked: dict[str, str] = {}
        self.pins: dict[str, Owner] = {}
        self.watch: Watch | None = None
        self.moves: dict[str, Wish] = {}
        self.marks: dict[str, str] = {}
        self.dormant, self.expiry_ms = 0, float("inf")
        keys = self.keys
        for key, found in {
            keys.owners: lambda _: self.owners, keys.children(1): lambda _: self.specs,
            keys.msk(1): lambda _: self.states, keys.parked(1): lambda _: self.parked, keys.tries(1): lambda _: self.watch,
            keys.batches(1): lambda _: self.marks, keys.pins: lambda _: self.moves,
        }.items():  # fmt: skip
            self.replies["HGETALL " + key] = found
        self.replies["HMGET " + keys.owners] = self._owner_lines
        self.replies["HMGET " + keys.children(1)] = lambda _: self.specs
        self.replies["HMGET " + keys.msk(1)] = lambda _: self.states
        self.replies["HLEN"] = lambda command: self.dormant
        self.replies["ZRANGE"] = lambda command: self.expiry_ms
        self.replies["HGET"] = lambda command: self.states.get(str(command.args[2]))
        self.replies["GET"] = 0

    def _owner_lines(self, command: Command[Any]) -> Any:
        """Of shards, or of pins."""
        return self.pins if "/" in str(command.args[2]) else self.owners.shards

    turns = 0
    """Turns of the loop, while they are counted."""

    async def count_turns(self) -> None:
        """Count them."""
        while True:
            self.turns += 1
            await asyncio.sleep(0)

    async def adopt(self, *, claimed: bool = False) -> Holding:
        """Adopt shard 1."""
        await self.arrivals.adopt_shard(1, self.owner, claimed=claimed)
        held = self.register.get(1)
        assert held is not None
        return held

    def serves(self, *apart: str) -> Holding:
        """Shard 1 is served here already, but for these children."""
        holding = a_holding(1, 5)
        holding.set_apart(apart)
        self.register.hold(holding)
        return holding

    def sent(self) -> list[str]:
        """The control messages sent, their kinds."""
        return [str(args[args.index("kind") + 1]) for args in self.replies.of("send_control")]


# -- a shard -----------------------------------------------------------------------------------------------------------


def test_a_shard_comes_with_its_states_and_opens_when_all_its_children_are_in() -> None:
    async def scenario() -> None:
        stage = Arriving()
        begin = stage.lives.begin

        def closed_still(hosted: HostedChild, *args: Any, **more: Any) -> None:
            assert hosted.holding.phase is Phase.COMING and stage.arrivals.coming(1)
            begin(hosted, *args, **more)

        stage.lives.begin = closed_still  # type: ignore[method-assign]
        held = await stage.adopt()
        assert held.open and stage.lives.begun == [("one", STATE, False), ("two", None, False)]
        assert stage.pumps.resumed == ["one", "two"] and stage.standing.token(1) == 5
        assert stage.events.added == [("shard_adopted", {"shard": 1, "children": 2, "token": 5})]
        assert stage.counters.taken_over == 1 and stage.sent() == ["wake"] and stage.copies.unfollowed == [1]
        assert not stage.arrivals.coming(1) and not stage.ahead.announced(1)
        begun = list(stage.lives.begun)
        await stage.arrivals.adopt_shard(1, stage.owner)
        assert stage.lives.begun == begun, "it is not adopted twice under one token"

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


# -- pins --------------------------------------------------------------------------------------------------------------


def test_pins_come_with_their_states_and_are_confirmed() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins = {"one": stage.owner, "two": Owner("b", 8, 5)}
        closed_at = stage.standing.redis_now_ms() - 250
        await stage.arrivals.children_passed(ChildrenPassed("b", 1, 5, "id", closed_at, "one\ntwo"))
        pin = stage.register.get(1, "one")
        assert pin is not None and pin.open and stage.register.get(1, "two") is None
        assert stage.lives.begun == [("one", STATE, False)] and stage.pumps.resumed == ["one"]
        assert pin in stage.cursors.set_back, "its messages are read from the first one left"
        assert stage.events.added == [
            ("child_migrated", {"shard": 1, "child": "one", "source": "b", "pause_ms": "250.00"})
        ]
        assert stage.sent() == ["wake", "handover_confirmed"] and stage.counters.moved_in == 1
        assert not stage.straggling.following
        await stage.arrivals.adopt_pins(1, ["one"])
        assert len(stage.lives.begun) == 1

    asyncio.run(scenario())


def test_a_pin_that_is_found_in_owners_is_not_counted_as_moved() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins = {"one": stage.owner}
        await stage.arrivals.adopt_pins(1, ["one"])
        assert not stage.events.added and stage.counters.moved_in == 0

    asyncio.run(scenario())


def test_a_child_that_was_built_ahead_for_its_pin_is_taken() -> None:
    async def scenario() -> None:
        stage = Arriving()
        await stage.ahead.start_children(StartChildren("b", 1, "id", "one"))
        stage.pins = {"one": stage.owner}
        stage.builder.built.clear()
        await stage.arrivals.adopt_pins(1, ["one"])
        assert "one" not in stage.builder.built and stage.lives.begun

    asyncio.run(scenario())


@pytest.mark.parametrize(("wanted", "follows"), [("a", []), ("", ["one"])])
def test_a_child_that_its_shard_cannot_run_goes_back_when_it_can(wanted: str, follows: list[str]) -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins, stage.parked = {"one": stage.owner}, {"one": "no module"}
        stage.specs = {"one": a_record(place=f"{wanted} guided" if wanted else "")}
        await stage.arrivals.adopt_pins(1, ["one"])
        pin = stage.register.get(1, "one")
        assert stage.straggling.following == follows and pin is not None and pin.effects.parked == {"one": ""}

    asyncio.run(scenario())


@pytest.mark.parametrize("why", ["ended", "condemned", "broken"])
def test_a_pin_in_which_nothing_runs_is_held_closed(why: str) -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins = {"one": stage.owner}
        match why:
            case "ended":
                stage.specs = {}
            case "condemned":
                stage.parked = {"one": TOOK_DOWN}
            case _:
                stage.builder.broken = {"one"}
        await stage.arrivals.adopt_pins(1, ["one"])
        pin = stage.register.get(1, "one")
        assert pin is not None and pin.phase is Phase.CLOSED and bool(pin.children) is (why != "ended")
        assert not stage.lives.begun and not stage.straggling.following

    asyncio.run(scenario())


def test_pins_of_a_node_that_was_evicted_meanwhile_are_not_served() -> None:
    async def scenario() -> None:
        stage = Arriving()
        stage.pins = {"one": stage.owner}
        stage.redis.may_answer.clear()
        adopting = asyncio.ensure_future(stage.arrivals.adopt_pins(1, ["one"]))
        await stage.redis.until_asked(1)
        stage.standing.void([0])
        stage.redis.may_answer.set()
        await asyncio.wait_for(adopting, 5)
        assert stage.register.get(1, "one") is None and not stage.under_way.has_pin(1, "one")

    asyncio.run(scenario())


def test_a_node_that_is_evicted_while_many_pins_come_serves_no_more_of_them() -> None:
    async def scenario() -> None:
        stage = Arriving()
        names = [f"room-{number}" for number in range(70)]
        stage.specs, stage.pins = dict.fromkeys(names, a_record()), dict.fromkeys(names, stage.owner)
        begin = stage.lives.begin

        def evicted(hosted: HostedChild, *args: Any, **more: Any) -> None:
            begin(hosted, *args, **more)
            if hosted.child_id == "room-63":
                stage.standing.void([0])

        stage.lives.begin = evicted  # type: ignore[method-assign]
        await stage.arrivals.adopt_pins(1, names)
        assert [child for child, _, _ in stage.lives.begun] == names[:64] and not stage.sent()

    asyncio.run(scenario())


# -- children that return ----------------------------------------------------------------------------------------------


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
