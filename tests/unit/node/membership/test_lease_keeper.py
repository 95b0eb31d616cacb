"""A node renews its lease, evicts who does not, and fences itself when it cannot renew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from hubq.errors import RedisUnavailable
from hubq.node.membership.lease_keeper import LeaseKeeper
from hubq.store.command import Command
from hubq.store.membership import Renewed
from tests.unit.node.fakes import REDIS_MS, Clock, FakeRedis, Seen, a_group, name_of, words_of
from tests.unit.node.movers import Stage


class Told:
    """The parts that a keeper tells what has happened."""

    def __init__(self) -> None:
        self.lost_for: list[str] = []
        self.void_for: list[str] = []
        self.resumed = 0
        self.losses = Seen()

    async def lost(self, why: str) -> None:
        self.lost_for.append(why)
        self.losses.again()

    def void(self, why: str) -> None:
        self.void_for.append(why)

    def resume_all(self) -> None:
        self.resumed += 1


class Keeping(Stage):
    """A keeper whose renewals are answered by these answers, in order; the last one again and again."""

    def __init__(self, *answers: Any, before: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._answers, self._before = list(answers), before
        self.asked = FakeRedis(self._answer)
        self.renewals = Seen()
        self.evicted: list[object] = []
        self.told = Told()
        told = cast(Any, self.told)
        self.group = a_group(self.asked, self.clock, lease=5.0, lease_margin=1.0, heartbeat=0.01)
        self.standing = self.group.standing
        self.keeper = LeaseKeeper(self.group, self.plan_due, told, told, told)

    def _answer(self, command: Command[Any]) -> Any:
        if name_of(command) == "evict_node":
            self.evicted.append(words_of(command)[0])
            return "evicted"
        self._before()
        self.renewals.again()
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    async def until_renewed(self, times: int) -> None:
        """Keep the lease until it was asked for so often, and its answers were taken in."""
        self.keeper.start()
        await self.renewals.until(times + 1)
        await self.keeper.stop()


def renewed(epoch: int = 7, expired: tuple[str, ...] = (), end: int = 60_000) -> Renewed:
    """A lease that was renewed."""
    return Renewed(True, REDIS_MS + 500, epoch, end, expired)


def test_a_renewal_prolongs_the_lease_from_when_it_was_asked_for() -> None:
    async def scenario() -> None:
        stage = Keeping(renewed())
        stage.clock.now += 3
        await stage.until_renewed(1)
        assert stage.standing.granted_ms == REDIS_MS + 500 + 5_000
        stage.clock.now += 3.9
        assert stage.standing.trusted()
        stage.clock.now += 0.2
        assert not stage.standing.trusted()
        assert not stage.told.resumed and not await stage.plan_due.heard(within=0.0), "nothing has changed"

    asyncio.run(scenario())


def test_trust_that_comes_back_resumes_what_had_stopped() -> None:
    async def scenario() -> None:
        stage = Keeping(renewed())
        stage.clock.now += 4.5
        assert not stage.standing.trusted() and not stage.standing.lease_over()
        await stage.until_renewed(2)
        assert stage.told.resumed == 1

    asyncio.run(scenario())


def test_a_member_whose_lease_is_over_is_evicted_and_the_plan_is_due() -> None:
    async def scenario() -> None:
        stage = Keeping(renewed(expired=("a", "b")), renewed())
        await stage.until_renewed(1)
        assert stage.evicted == ["b"], "not itself"
        assert await stage.plan_due.heard(within=0.0)

    asyncio.run(scenario())


def test_another_epoch_is_known_from_then_on_and_the_plan_is_due() -> None:
    async def scenario() -> None:
        stage = Keeping(renewed(epoch=8))
        await stage.until_renewed(1)
        assert stage.standing.epoch == 8 and await stage.plan_due.heard(within=0.0)

    asyncio.run(scenario())


def test_who_was_evicted_has_lost_all() -> None:
    async def scenario() -> None:
        stage = Keeping(Renewed(False, REDIS_MS))
        stage.keeper.start()
        await stage.told.losses.until(1)
        await stage.keeper.stop()
        assert set(stage.told.lost_for) == {"evicted"} and not stage.told.void_for

    asyncio.run(scenario())


def test_a_redis_that_has_forgotten_what_it_confirmed_voids_the_node_first() -> None:
    async def scenario() -> None:
        stage = Keeping(Renewed(False, REDIS_MS, went_back=True))
        stage.keeper.start()
        await stage.told.losses.until(1)
        await stage.keeper.stop()
        assert stage.told.void_for and "confirmed" in stage.told.void_for[0]

    asyncio.run(scenario())


def test_a_node_that_cannot_renew_fences_itself_once_when_its_lease_is_over() -> None:
    async def scenario() -> None:
        clock_of: list[Clock] = []

        def later() -> None:
            clock_of[0].now += 2.0

        stage = Keeping(RedisUnavailable("no answer"), before=later)
        clock_of.append(stage.clock)
        stage.keeper.start()
        await stage.told.losses.until(1)
        assert stage.standing.lease_over()
        seen = len(stage.asked.asked)
        await stage.asked.until_asked(seen + 3)
        await stage.keeper.stop()
        assert stage.told.lost_for == ["lease over"], "once, however long Redis is away"

    asyncio.run(scenario())


def test_a_renewal_that_comes_after_the_end_of_the_lease_prolongs_nothing() -> None:
    """What waited for Redis has given up by then, and serves no more."""

    async def scenario() -> None:
        stage = Keeping(renewed())
        granted = stage.standing.granted_ms
        stage.clock.now += 5.5
        stage.keeper.start()
        await stage.told.losses.until(1)
        await stage.keeper.stop()
        assert stage.standing.granted_ms == granted and not stage.told.resumed
        assert "evicted" in stage.told.lost_for

    asyncio.run(scenario())


def test_a_renewal_that_comes_when_the_incarnation_is_void_counts_for_nothing() -> None:
    async def scenario() -> None:
        void: list[Callable[[], None]] = []
        stage = Keeping(renewed(), before=lambda: void[0]())
        void.append(lambda: stage.standing.void([]) if stage.standing.incarnation else None)
        granted = stage.standing.granted_ms
        stage.keeper.start()
        await stage.told.losses.until(1)
        await stage.keeper.stop()
        assert stage.told.lost_for[0] == "evicted", "it joins anew"
        assert stage.standing.previous == 7 and stage.standing.granted_ms == granted

    asyncio.run(scenario())
