"""What Redis says goes before what this node remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from hubq.errors import RedisRefused
from hubq.node.departures.moves import Moves
from hubq.node.held.holding import Holding
from hubq.node.planning.reconciler import Reconciler
from hubq.store.command import Command
from hubq.store.membership import NodeInfo
from hubq.store.owners import Owner, Owners
from hubq.strategies.synchronization import PubSub
from tests.unit.node.fakes import FakeReports, a_holding, words_of
from tests.unit.node.movers import Stage, a_record

NODES = {"a": NodeInfo(7, "up", 0), "b": NodeInfo(9, "up", 0)}


class Coming:
    """Arrivals that remember who was to come."""

    def __init__(self) -> None:
        self.adopted: list[tuple[int, Owner, bool]] = []
        self.welcomed: list[tuple[int, str]] = []
        self.under_way: set[int] = set()
        self.claimed: list[int] = []  # while the answer is awaited

    @contextmanager
    def claiming(self, shards: list[int]) -> Iterator[None]:
        self.claimed = shards
        yield
        self.claimed = []

    def coming(self, shard: int) -> bool:
        return shard in self.under_way

    async def adopt_shard(self, shard: int, owner: Owner, claimed: bool = False) -> None:
        self.adopted.append((shard, owner, claimed))

    async def welcome(self, shard: int, child: str) -> None:
        self.welcomed.append((shard, child))


class Lost:
    """Forfeits that remember what was fenced."""

    def __init__(self) -> None:
        self.fenced_shards: list[int] = []

    def fenced(self, holding: Holding) -> None:
        self.fenced_shards.append(holding.shard)


class Comparing(Stage):
    """A stage that holds shard 0 with token 3, and looks at what Redis says."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals, self.lost, self.reports = Coming(), Lost(), FakeReports()
        self.moves = Moves(self.background, self.plan_due)
        self.reconciler = Reconciler(
            self.group,
            self.background,
            self.register,
            PubSub(),
            cast(Any, self.arrivals),
            cast(Any, self.lost),
            self.moves,
            cast(Any, self.reports),
        )

    async def compare(self, shards: dict[int, Owner], pins: dict[tuple[int, str], Owner] | None = None) -> None:
        """One look, and all that follows from it."""
        self.reconciler.reconcile(NODES, Owners(shards, pins or {}))
        await asyncio.sleep(0.01)


def test_what_is_as_it_was_is_left_alone() -> None:
    async def scenario() -> None:
        stage = Comparing()
        await stage.compare({0: Owner("a", 7, 3), 1: Owner("b", 9, 5)})
        assert not stage.arrivals.adopted and not stage.lost.fenced_shards and not stage.redis.asked

    asyncio.run(scenario())


def test_a_shard_that_was_handed_over_to_us_and_that_nobody_told_us_of_is_adopted() -> None:
    async def scenario() -> None:
        stage = Comparing()
        await stage.compare({0: Owner("a", 7, 3), 1: Owner("a", 7, 5)})
        assert stage.arrivals.adopted == [(1, Owner("a", 7, 5), False)]

    asyncio.run(scenario())


@pytest.mark.parametrize("why", ["it is coming", "an older sight", "of our last life", "of another"])
def test_one_that_is_not_to_be_adopted_is_not(why: str) -> None:
    async def scenario() -> None:
        stage = Comparing()
        owner = {"of our last life": Owner("a", 6, 5), "of another": Owner("b", 9, 5)}.get(why, Owner("a", 7, 5))
        if why == "it is coming":
            stage.arrivals.under_way.add(1)
        if why == "an older sight":
            stage.standing.learn(1, 5)
        await stage.compare({0: Owner("a", 7, 3), 1: owner})
        assert stage.arrivals.adopted == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("owner", "fenced"),
    [(Owner("b", 9, 4), [0]), (Owner("b", 9, 3), []), (Owner("b", 9, 2), [])],
    ids=["newer", "as new", "older"],
)
def test_a_shard_with_a_newer_owner_is_given_up(owner: Owner, fenced: list[int]) -> None:
    async def scenario() -> None:
        stage = Comparing()
        await stage.compare({0: owner})
        assert stage.lost.fenced_shards == fenced

    asyncio.run(scenario())


def test_a_shard_that_is_being_moved_is_not_given_up_under_its_mover() -> None:
    async def scenario() -> None:
        stage = Comparing()
        moving = stage.moves.begin(stage.shard, asyncio.sleep(60), "moving")
        await stage.compare({0: Owner("b", 9, 4)})
        assert stage.lost.fenced_shards == []
        moving.cancel()

    asyncio.run(scenario())


def test_children_whose_pin_is_gone_come_back_unless_they_wait_or_are_just_leaving() -> None:
    async def scenario() -> None:
        stage = Comparing()
        stage.shard.set_apart(["back", "pinned", "leaving"])
        stage.shard.wait_for_place("waits", a_record())
        stage.shard.begin_departure(["leaving"])
        await stage.compare({0: Owner("a", 7, 3)}, {(0, "pinned"): Owner("b", 9, 4)})
        assert stage.arrivals.welcomed == [(0, "back")]

    asyncio.run(scenario())


def test_pins_of_dead_nodes_are_dissolved_and_their_children_welcome() -> None:
    async def scenario() -> None:
        stage = Comparing()
        stage.shard.set_apart(["orphan", "pinned"])
        stage.replies["dissolve_pins"] = ["orphan"]
        pins = {(0, "orphan"): Owner("b", 8, 4), (0, "pinned"): Owner("b", 9, 4)}
        await stage.compare({0: Owner("a", 7, 3)}, pins)
        (words,) = stage.replies.of("dissolve_pins")
        assert "orphan" in words and "pinned" not in words
        assert stage.arrivals.welcomed == [(0, "orphan")]

    asyncio.run(scenario())


def test_what_nobody_owns_is_claimed_with_the_pins_of_the_dead() -> None:
    async def scenario() -> None:
        stage = Comparing()
        stage.replies["claim_shards"] = {2: 8}
        pins = {(2, "orphan"): Owner("c", 1, 4), (2, "pinned"): Owner("b", 9, 4), (5, "other"): Owner("c", 1, 4)}
        await stage.reconciler.claim([2, 3], NODES, Owners({}, pins))
        await asyncio.sleep(0.01)
        assert stage.arrivals.adopted == [(2, Owner("a", 7, 8), True)], "3 was taken by another meanwhile"
        (words,) = stage.replies.of("claim_shards")
        assert any("orphan" in str(word) for word in words)
        assert not any("pinned" in str(word) or "other" in str(word) for word in words)

    asyncio.run(scenario())


def test_what_is_being_claimed_is_known_until_the_answer_comes() -> None:
    """A node that is frozen meanwhile must know that it may have owned them."""

    async def scenario() -> None:
        stage = Comparing()

        def claim(command: Command[Any]) -> Any:
            assert stage.arrivals.claimed == [2, 3]
            return {}

        stage.replies["claim_shards"] = claim
        await stage.reconciler.claim([2, 3], NODES, Owners({}, {}))
        assert stage.replies.of("claim_shards") and not stage.arrivals.claimed

    asyncio.run(scenario())


def test_a_key_of_another_type_holds_up_the_claim_of_its_own_shard_only() -> None:
    async def scenario() -> None:
        stage = Comparing()

        def claim(command: Command[Any]) -> Any:
            words = [str(word) for word in words_of(command)]
            count, places = int(words[5]), int(words[6])
            shards = words[8 : 8 + count]
            assert places >= count
            return RedisRefused("WRONGTYPE: a key") if "2" in shards else {int(shard): 8 for shard in shards}

        stage.replies["claim_shards"] = claim
        await stage.reconciler.claim([1, 2, 3], NODES, Owners({}, {}))
        await asyncio.sleep(0.01)
        assert [shard for shard, _, _ in stage.arrivals.adopted] == [1, 3]
        assert [told.place for told in stage.reports.told] == ["shard 2"]
        stage.replies["claim_shards"] = RedisRefused("OOM command not allowed")
        with pytest.raises(RedisRefused, match="OOM"):
            await stage.reconciler.claim([1, 2, 3], NODES, Owners({}, {}))

    asyncio.run(scenario())


def test_a_holding_apart_is_no_shard() -> None:
    async def scenario() -> None:
        stage = Comparing()
        stage.register.hold(a_holding(1, 4, "room-1"))
        await stage.compare({0: Owner("a", 7, 3), 1: Owner("b", 9, 2)}, {(1, "room-1"): Owner("a", 7, 4)})
        assert not stage.arrivals.adopted and not stage.lost.fenced_shards

    asyncio.run(scenario())
