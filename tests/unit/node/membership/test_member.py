"""A node joins its hub, leaves it, and joins it anew."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.core.classes import ClassBook
from hubq.errors import ConfigError, NameTaken, RedisUnavailable
from hubq.node.membership.member import Member
from hubq.store.membership import Joined
from tests.unit.node.fakes import REDIS_MS, words_of
from tests.unit.node.movers import Stage

OK = Joined("ok", 9, REDIS_MS, epoch_before=8, began_ms=5)


class Trials:
    """Remembers who was absolved."""

    def __init__(self) -> None:
        self.absolved: list[tuple[list[int], int, Any]] = []
        self.fails: Exception | None = None

    async def absolve(self, shards: list[int], incarnation: int, spared: Any) -> None:
        if self.fails is not None:
            raise self.fails
        self.absolved.append((shards, incarnation, spared))


class Joining(Stage):
    """A member that has lost all, or is about to."""

    def __init__(self, *joins: Any) -> None:
        super().__init__(heartbeat=0.01)
        self.joins = list(joins)
        self.replies["join_node"] = lambda command: self.joins.pop(0) if len(self.joins) > 1 else self.joins[0]
        self.emptied, self.trials = asyncio.Event(), Trials()
        self.void_for: list[str] = []
        self.member = Member(
            self.group, self.background, cast(Any, self.events), self.hooks, self.plan_due, cast(Any, self.trials),
            cast(Any, self), self.emptied, tags={"gpu": "yes"}, app_version="v1", classes=ClassBook(), address="redis://box",
        )  # fmt: skip

    def void(self, why: str) -> None:
        """As voiding does."""
        self.void_for.append(why)
        if self.standing.incarnation:
            self.standing.void([0, 3])


def test_a_node_that_has_joined_is_a_member_under_a_fresh_lease() -> None:
    async def scenario() -> None:
        stage = Joining(OK)
        stage.void("before")
        stage.clock.now += 100
        await stage.member.join(wait=0.0)
        assert (stage.standing.incarnation, stage.standing.hub_began_ms) == (9, 5) and stage.standing.trusted()
        (words,) = stage.replies.of("join_node")
        assert '"gpu":"yes"' in str(words) and '"was":"7"' in str(words), "its former life is no crash: it is here"
        assert not stage.events.added

    asyncio.run(scenario())


def test_a_dead_predecessor_of_its_name_is_waited_for() -> None:
    async def scenario() -> None:
        stage = Joining(taken := Joined("taken", lease_until_ms=500), taken, OK)
        await stage.member.join(wait=60.0)
        assert stage.standing.incarnation == 9 and len(stage.replies.of("join_node")) == 3

    asyncio.run(scenario())


@pytest.mark.parametrize("why", ["it renews", "it takes too long"])
def test_a_live_one_is_not(why: str) -> None:
    async def scenario() -> None:
        stage = Joining(
            Joined("taken", lease_until_ms=500), Joined("taken", lease_until_ms=501 if why == "it renews" else 500)
        )
        with pytest.raises(NameTaken, match="the name 'a' already"):
            await stage.member.join(wait=60.0 if why == "it renews" else -1.0)

    asyncio.run(scenario())


def test_another_number_of_shards_is_refused_with_both_numbers() -> None:
    async def scenario() -> None:
        stage = Joining(Joined("mismatch", shards="32", wire="1"))
        with pytest.raises(ConfigError, match=r"created with shards=32 .*use Hub\('h', shards=32\)"):
            await stage.member.join(wait=0.0)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Joined("ok", 9, REDIS_MS, epoch_before=6), True),
        (Joined("ok", 9, REDIS_MS, epoch_before=7, lease_before_ms=REDIS_MS), True),
        (Joined("ok", 9, REDIS_MS, epoch_before=7, lease_before_ms=REDIS_MS + 5_000), False),
        (Joined("ok", 9, REDIS_MS, epoch_before=8), False),
    ],
    ids=["an older epoch", "an older lease", "its own lease", "a newer epoch"],
)
def test_a_redis_that_went_back_is_an_event(answer: Joined, told: bool) -> None:
    async def scenario() -> None:
        stage = Joining(answer)
        await stage.member.join(wait=0.0)
        assert [kind for kind, _ in stage.events.added] == ["redis_went_back"] * told

    asyncio.run(scenario())


def test_who_is_evicted_joins_anew_and_its_crashes_are_taken_back() -> None:
    async def scenario() -> None:
        stage = Joining(OK)
        await stage.member.lost("evicted")
        assert stage.void_for == ["evicted"] and stage.standing.incarnation == 9
        await asyncio.sleep(0.01)
        assert stage.trials.absolved == [([0, 3], 7, None)]
        assert await stage.plan_due.heard(within=0.0)

    asyncio.run(scenario())


def test_who_only_fears_that_its_lease_is_over_waits_for_redis_to_say_so() -> None:
    async def scenario() -> None:
        stage = Joining(OK)
        await stage.member.lost("lease over")
        assert stage.void_for == ["lease over"] and not stage.standing.incarnation and not stage.redis.asked

    asyncio.run(scenario())


def test_who_is_leaving_does_not_join_anew() -> None:
    async def scenario() -> None:
        stage = Joining(OK)
        stage.standing.drain()
        await stage.member.lost("evicted")
        assert stage.emptied.is_set() and not stage.standing.incarnation
        assert stage.trials.absolved == [([0, 3], 7, None)], "a drain is no crash, even if it was cut off"

    asyncio.run(scenario())


def test_who_is_leaving_goes_although_its_crashes_cannot_be_taken_back() -> None:
    async def scenario() -> None:
        stage = Joining(OK)
        stage.standing.drain()
        stage.trials.fails = RedisUnavailable("away")
        await stage.member.lost("evicted")
        assert stage.emptied.is_set()

    asyncio.run(scenario())


def test_a_drain_is_said_until_redis_has_heard_it() -> None:
    async def scenario() -> None:
        stage = Joining(OK)
        answers: list[Any] = [RedisUnavailable("no answer"), "ok"]
        stage.replies["drain_node"] = lambda command: answers.pop(0)
        await stage.member.announce_drain()
        assert len(stage.replies.of("drain_node")) == 2 and await stage.plan_due.heard(within=0.0)

    asyncio.run(scenario())


def test_who_has_lost_all_has_no_drain_to_announce() -> None:
    async def scenario() -> None:
        stage = Joining(OK)
        stage.void("evicted")
        await stage.member.announce_drain()
        assert not stage.redis.asked

    asyncio.run(scenario())


def test_a_node_that_owns_something_still_does_not_leave() -> None:
    async def scenario() -> None:
        stage = Joining(OK)
        stage.emptied.set()
        stage.replies["leave_node"] = "owner"
        assert not await stage.member.leave() and not stage.emptied.is_set()
        stage.replies["leave_node"] = "left"
        assert await stage.member.leave()
        assert [words[-1] for words in stage.replies.of("leave_node")] == [0, 0], "never by force"

    asyncio.run(scenario())


def test_a_void_node_leaves_what_it_owned_to_the_others() -> None:
    async def scenario() -> None:
        stage = Joining(OK)
        stage.void("lease over")
        stage.replies["leave_node"] = "left"
        assert await stage.member.leave()
        (command,) = stage.replies.sent
        assert words_of(command) == ("a", 7, stage.group.config.events_kept, 1)

    asyncio.run(scenario())
