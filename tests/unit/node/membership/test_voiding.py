"""When a node is no member any more, nothing that it has in memory counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hubq.node.copies.none import NoCopies
from hubq.node.membership.voiding import Voiding
from hubq.store.membership import NodeInfo
from tests.unit.node.fakes import a_holding
from tests.unit.node.movers import Stage


class Forgetful(NoCopies):
    """Arrivals, or copies: remembers that it was to forget all."""

    forgotten = False
    coming: frozenset[int] = frozenset()

    @property
    def shards(self) -> set[int]:
        """Those that are about to open here."""
        return set() if self.forgotten else set(self.coming)

    def forget_all(self) -> None:
        self.forgotten = True


class Watch:
    """Another Redis answers when the test says so."""

    def __init__(self) -> None:
        self.another: Callable[[str, str], None] = lambda was, now: None

    def subscribe(self, changed: Callable[[str, str], None]) -> None:
        self.another = changed


class Voided(Stage):
    """A member that holds shard 0 and a pin of shard 1, each with a child."""

    def __init__(self) -> None:
        super().__init__()
        self.arrivals, self.copies, self.watch = Forgetful(), Forgetful(), Watch()
        self.voiding = Voiding(
            self.standing, self.background, cast(Any, self.events), self.counters, self.register,
            cast(Any, self.endings), self.copies, self.wishes, cast(Any, self.arrivals), cast(Any, self.watch),
        )  # fmt: skip
        self.child("room-1")
        self.apart = a_holding(1, 4, "room-2")
        self.child("room-2", self.apart)
        self.register.hold(self.apart)


def test_all_is_dropped_and_its_children_end_as_fenced() -> None:
    async def scenario() -> None:
        stage = Voided()
        stage.wishes.seen({"b": NodeInfo(9, "up", 0)})
        stage.wishes.put_off("room-1", "b", stage.clock.now + 60)
        stage.voiding.void("evicted")
        assert stage.wishes.may_go("room-1", "b", stage.clock.now), "whatever failed may be tried again"
        assert stage.register.all() == [] and stage.shard.gone and stage.apart.gone
        await stage.endings.disposals.until(2)
        assert sorted(stage.endings.disposed) == [(["room-1"], "fenced"), (["room-2"], "fenced")]
        assert stage.arrivals.forgotten and stage.copies.forgotten
        assert stage.counters.leases_lost == 1

    asyncio.run(scenario())


def test_the_incarnation_is_void_and_what_it_held_is_known_for_its_absolution() -> None:
    async def scenario() -> None:
        stage = Voided()
        stage.voiding.void("lease over")
        assert (stage.standing.incarnation, stage.standing.previous) == (0, 7)
        assert stage.standing.to_absolve() == {7: [0, 1]}

    asyncio.run(scenario())


def test_shards_that_were_about_to_open_are_known_for_its_absolution_as_well() -> None:
    async def scenario() -> None:
        stage = Voided()
        stage.arrivals.coming = frozenset({1, 5})
        stage.voiding.void("lease over")
        assert stage.standing.to_absolve() == {7: [0, 1, 5]}

    asyncio.run(scenario())


def test_who_is_no_member_has_nothing_to_lose_again() -> None:
    async def scenario() -> None:
        stage = Voided()
        stage.voiding.void("lease over")
        stage.voiding.void("evicted")
        assert stage.counters.leases_lost == 1 and stage.standing.previous == 7

    asyncio.run(scenario())


def test_another_redis_voids_a_member_and_is_an_event() -> None:
    async def scenario() -> None:
        stage = Voided()
        stage.watch.another("run-1 x", "run-2 y")
        assert not stage.standing.incarnation
        assert stage.events.added == [("redis_changed", {"was": "run-1", "now": "run-2"})]
        stage.watch.another("run-2 y", "run-3 z")
        assert len(stage.events.added) == 1, "no member, and nothing to void"

    asyncio.run(scenario())
