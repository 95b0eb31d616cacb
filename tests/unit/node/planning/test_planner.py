"""One look at the hub: what is given away, what is taken, and what is not looked at any further."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from hubq.core.lifecycle import LifeEvent
from hubq.core.view import View
from hubq.node.copies.none import NoCopies
from hubq.node.departures.moves import Moves
from hubq.node.held.elsewhere import Elsewhere
from hubq.node.held.holding import Holding
from hubq.node.held.older_code import OlderCode
from hubq.node.planning.planner import Planner
from hubq.store.command import Command
from hubq.store.membership import NodeInfo
from hubq.store.owners import Owner, Owners
from tests.unit.node.fakes import FakePauses, FakeRedis, Seen, a_group, a_holding
from tests.unit.node.jumping import run
from tests.unit.node.movers import Stage

A, B = Owner("a", 7, 3), Owner("b", 9, 3)


class Around:
    """All that a planner tells what to do: it remembers in which order."""

    def __init__(self) -> None:
        self.did: list[tuple[Any, ...]] = []
        self.waits_for_handlers = False
        self.looks = Seen()

    # the quorum and the balancer
    async def look_at_quorum(self) -> None:
        self.did.append(("quorum",))

    async def members_changed(self) -> None:
        self.did.append(("members changed",))

    def view_changed(self, nodes: Mapping[str, NodeInfo]) -> None:
        pass

    def asks(self) -> list[Command[Any]]:
        return []

    # the hooks of the view
    async def seen(self, nodes: Mapping[str, NodeInfo]) -> bool:
        return self.waits_for_handlers

    async def planned(self, members: Any, moves: Mapping[int, str], claims: Sequence[int]) -> bool:
        return False

    def looked(self, members: Any, quiet: bool) -> None:
        self.did.append(("quiet",) if quiet else ("busy",))
        self.looks.again()

    # who acts
    def begin(self, holding: Holding, target: str, incarnation: int) -> None:
        self.did.append(("move", holding.shard, target, incarnation))

    async def park_all(self) -> None:
        self.did.append(("park",))

    def reconcile(self, nodes: Mapping[str, NodeInfo], owners: Owners) -> None:
        self.did.append(("reconcile",))

    async def claim(self, shards: list[int], nodes: Mapping[str, NodeInfo], owners: Owners) -> None:
        self.did.append(("claim", *shards))

    def look(self, owners: Owners | None = None) -> None:
        pass

    def offer(self, holding: Holding) -> None:
        self.did.append(("offer", holding.shard))

    def void(self, why: str) -> None:
        self.did.append(("void",))


class ByTable:
    """A distribution: shard -> node, where that node is up; all others stay or go to ``a``."""

    def __init__(self, table: dict[int, str]) -> None:
        self.table = table

    def belongs_to(self, view: View) -> dict[int, str]:
        return {shard: node for shard, node in self.table.items() if node in view.nodes}


class Planning(Stage):
    """Node ``a`` holds shards 0 and 1 of three; ``b`` has shard 2. Nothing has to be done."""

    def __init__(self, desired: dict[int, str] | None = None, **settings: Any) -> None:
        super().__init__()
        self.nodes = {"a": NodeInfo(7, "up", 0), "b": NodeInfo(9, "up", 0)}
        self.owners = {0: A, 1: A, 2: B}
        self.epoch = 0
        self.told = FakeRedis(self._answer)
        self.group = a_group(self.told, self.clock, shards=3, **settings)
        self.standing = self.group.standing
        other = a_holding(1)
        self.register.hold(other)
        self.standing.learn(0, 3)
        self.standing.learn(1, 3)
        self.other, self.around, self.emptied = other, Around(), asyncio.Event()
        self.moves = Moves(self.background, self.plan_due)
        around, self.pausing = cast(Any, self.around), FakePauses()
        self.planner = Planner(
            self.group, cast(Any, self.events), self.plan_due, self.emptied, self.register, self.cursors,
            ByTable(desired or {0: "a", 1: "a", 2: "b"}), cast(Any, Never()), around, cast(Any, Quorum(self.around)),
            around, self.wishes, NoCopies(), self.answers, self.moves, around, around, around, around, around, around,
            cast(Any, self.pausing), Elsewhere(groups=1, shards=3), OlderCode(),
        )  # fmt: skip

    def _answer(self, command: Command[Any]) -> Any:
        keys = self.group.keys
        known = {keys.nodes: self.nodes, keys.owners: Owners(dict(self.owners), {}), keys.pins_epoch: self.epoch}
        return known.get(str(command.args[1]), {})

    async def look(self) -> list[tuple[Any, ...]]:
        """One look; what was done, without what every look does."""
        self.planner.start()
        await self.told.until_asked(1)
        await asyncio.sleep(0.01)
        await self.planner.stop()
        each = [("quorum",), ("members changed",), ("reconcile",)]
        return [did for did in self.around.did if did not in each]


class Never:
    """Looks are due when somebody rings."""

    def init_sync(self) -> float:
        return 60.0


class Quorum:
    """What the planner asks first."""

    def __init__(self, around: Around) -> None:
        self.look, self.members_changed = around.look_at_quorum, around.members_changed


def test_where_all_is_well_nothing_is_done() -> None:
    async def scenario() -> None:
        stage = Planning()
        assert await stage.look() == [("quiet",)]
        assert stage.around.did[0] == ("quorum",), "before anything else"
        assert stage.planner.serves_all

    asyncio.run(scenario())


def test_it_looks_whether_something_was_paused_at_each_plan() -> None:
    async def scenario() -> None:
        stage = Planning()
        await stage.look()
        assert len(stage.pausing.shown) == 1, "an event may have been missed"

    asyncio.run(scenario())


def test_a_shard_that_belongs_elsewhere_is_moved_there() -> None:
    async def scenario() -> None:
        stage = Planning({0: "b", 1: "a", 2: "b"})
        assert await stage.look() == [("move", 0, "b", 9), ("busy",)]

    asyncio.run(scenario())


def test_no_more_shards_move_at_once_than_allowed() -> None:
    async def scenario() -> None:
        stage = Planning({0: "b", 1: "b", 2: "b"}, moves_at_once=1)
        did = await stage.look()
        assert [words[0] for words in did] == ["move", "busy"]

    asyncio.run(scenario())


@pytest.mark.parametrize("why", ["in motion", "late"])
def test_a_shard_that_something_is_done_with_is_not_moved(why: str) -> None:
    async def scenario() -> None:
        stage = Planning({0: "b", 1: "a", 2: "b"})
        if why == "in motion":
            stage.shard.begin_motion()
        else:
            stage.cursors.late[stage.shard] = None
        assert ("move", 0, "b", 9) not in await stage.look()

    asyncio.run(scenario())


def test_what_nobody_alive_owns_and_belongs_here_is_claimed() -> None:
    async def scenario() -> None:
        stage = Planning({0: "a", 1: "a", 2: "a"})
        stage.owners[2] = Owner("b", 8, 3)  # of a former life
        assert await stage.look() == [("claim", 2), ("busy",)]
        assert not stage.planner.serves_all, "it is not here yet"

    asyncio.run(scenario())


def test_a_shard_of_a_living_owner_is_not_claimed_though_it_belongs_here() -> None:
    async def scenario() -> None:
        assert await Planning({0: "a", 1: "a", 2: "a"}).look() == [("quiet",)]

    asyncio.run(scenario())


def test_a_node_that_leaves_alone_parks_all() -> None:
    async def scenario() -> None:
        stage = Planning()
        stage.nodes = {"a": NodeInfo(7, "draining", 0)}
        assert await stage.look() == [("park",), ("quiet",)]
        assert stage.standing.draining and not stage.planner.serves_all and not stage.emptied.is_set()

    asyncio.run(scenario())


def test_a_node_that_leaves_and_has_nothing_more_is_empty() -> None:
    async def scenario() -> None:
        stage = Planning({0: "b", 1: "b", 2: "b"})
        stage.nodes["a"] = NodeInfo(7, "draining", 0)
        stage.owners = {0: B, 1: B, 2: B}
        stage.standing.joined(7, stage.clock.now, 1_000_000, 5_000)  # knows no tokens
        for holding in (stage.shard, stage.other):
            stage.register.drop(holding)
        await stage.look()
        assert stage.emptied.is_set()

    asyncio.run(scenario())


@pytest.mark.parametrize("what", ["a shard here", "a shard in Redis", "a move"])
def test_it_is_not_empty_while_anything_is_left(what: str) -> None:
    async def scenario() -> None:
        stage = Planning({0: "b", 1: "b", 2: "b"})
        stage.nodes["a"] = NodeInfo(7, "draining", 0)
        stage.owners = {0: B, 1: A if what == "a shard in Redis" else B, 2: B}
        stage.standing.joined(7, stage.clock.now, 1_000_000, 5_000)
        stage.register.drop(stage.other)
        if what != "a shard here":
            stage.register.drop(stage.shard)
        if what == "a move":
            stage.moves.begin(stage.shard, asyncio.sleep(60), "moving")
        await stage.look()
        assert not stage.emptied.is_set()
        await stage.end()

    asyncio.run(scenario())


def test_who_is_no_member_or_not_sure_of_its_lease_does_not_look() -> None:
    async def scenario() -> None:
        for spoil in (lambda stage: stage.standing.void([]), lambda stage: setattr(stage.clock, "now", 104.5)):
            stage = Planning()
            spoil(stage)
            stage.planner.start()
            await asyncio.sleep(0.01)
            await stage.planner.stop()
            assert not stage.told.asked

    asyncio.run(scenario())


def test_who_was_evicted_and_does_not_know_it_yet_does_nothing() -> None:
    async def scenario() -> None:
        stage = Planning({0: "b", 1: "a", 2: "b"})
        stage.nodes["a"] = NodeInfo(8, "up", 0)
        assert await stage.look() == [] and ("reconcile",) not in stage.around.did

    asyncio.run(scenario())


def test_a_redis_that_knows_older_tokens_voids_the_node() -> None:
    async def scenario() -> None:
        stage = Planning()
        stage.standing.learn(1, 4)
        assert await stage.look() == [("void",)] and ("reconcile",) not in stage.around.did

    asyncio.run(scenario())


def test_one_that_went_back_while_the_node_was_away_is_an_event() -> None:
    async def scenario() -> None:
        stage = Planning()
        stage.standing.learn(1, 4)
        stage.standing.joined(7, stage.clock.now, 1_000_000, 5_000)
        stage.standing.learn(0, 3)
        await stage.look()
        assert [kind for kind, _ in stage.events.added] == ["redis_went_back"]
        assert ("void",) not in stage.around.did

    asyncio.run(scenario())


def test_after_new_wishes_and_after_handlers_it_looks_again_before_it_acts() -> None:
    async def scenario() -> None:
        stage = Planning({0: "b", 1: "a", 2: "b"})
        stage.epoch = 5
        stage.planner.start()
        await stage.around.looks.until(1)
        await stage.planner.stop()
        assert [did for did in stage.around.did if did == ("quorum",)] == [("quorum",)] * 2
        stage = Planning({0: "b", 1: "a", 2: "b"})
        stage.around.waits_for_handlers = True
        assert ("move", 0, "b", 9) not in await stage.look()

    asyncio.run(scenario())


def test_what_cannot_be_built_here_is_offered_while_its_shard_serves() -> None:
    async def scenario() -> None:
        stage = Planning()
        stage.child("room-1").moved(LifeEvent.FAILED)
        stage.shard.cannot_build("room-1")
        assert ("offer", 0) in await stage.look()
        stage.around.did.clear()
        stage.shard.close_intake()
        assert ("offer", 0) not in await stage.look()

    asyncio.run(scenario())


def test_a_look_that_fails_is_not_the_last_one(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        stage = Planning()
        answer, stage.told.answer = stage.told.answer, lambda command: ValueError("on purpose")
        stage.planner.start()
        await stage.told.until_asked(1)
        await asyncio.sleep(0.01)
        stage.told.answer = answer
        stage.plan_due.ring()
        await stage.around.looks.until(1)
        await stage.planner.stop()

    asyncio.run(scenario())
    assert "looking at the plan failed" in caplog.text


@pytest.mark.parametrize(("draining", "looks"), [(False, range(9, 12)), (True, range(100, 102))])
def test_looks_are_apart_but_for_those_of_a_node_that_may_be_empty(draining: bool, looks: range) -> None:
    async def scenario() -> None:
        stage, never = Planning(), asyncio.get_running_loop().create_future()
        if draining:
            stage.nodes["a"] = NodeInfo(7, "draining", 0)
            stage.standing.drain()
        stage.planner.start()
        for _ in range(100):
            await asyncio.wait([never], timeout=0.001)
            stage.plan_due.ring()
        await stage.planner.stop()
        assert stage.around.did.count(("quorum",)) in looks

    run(scenario())
