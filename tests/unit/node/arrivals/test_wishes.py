"""Where children are wanted, as one node knows it."""

from __future__ import annotations

import asyncio

from hubq.core.hashing import shard_of
from hubq.core.wish import Wish
from hubq.node.arrivals.wishes import Wishes
from hubq.node.runtime.bell import News
from tests.unit.node.fakes import FakeRedis, a_child, a_group, a_holding
from tests.unit.node.movers import a_record, nodes


def wishes_with(moves: dict[str, Wish], **ups: int) -> Wishes:
    """Wishes that were read once."""
    wishes = Wishes(a_group(FakeRedis(lambda command: moves)), News())
    asyncio.run(wishes.refresh(1))
    wishes.seen(nodes(**ups))
    return wishes


def test_they_are_read_again_only_if_there_are_others_and_then_it_is_news() -> None:
    async def scenario() -> None:
        redis = FakeRedis(lambda command: {"room-1": Wish("b", "moved")})
        wishes = Wishes(a_group(redis), News())
        news = asyncio.ensure_future(wishes.news.heard())
        assert await wishes.refresh(4) and not await wishes.refresh(4)
        assert len(redis.asked) == 1
        await asyncio.wait_for(news, 5)

    asyncio.run(scenario())


def test_a_move_by_hand_goes_before_what_a_child_was_started_with() -> None:
    wishes = wishes_with({"moved": Wish("b", "moved")}, a=7, b=8)
    assert wishes.wish("moved", a_record(place="c guided")) == Wish("b", "moved")
    assert wishes.wish("other", a_record(place="c guided")) == Wish("c", "guided")
    assert wishes.wish("other", a_record()) is None and wishes.wish("other", None) is None


def test_a_child_is_served_elsewhere_if_its_node_is_there_or_if_it_waits_for_it() -> None:
    wishes = wishes_with({}, a=7, b=8)
    assert wishes.elsewhere("r", a_record(place="b guided"))
    assert not wishes.elsewhere("r", a_record(place="c guided")), "it lives with its shard until the node comes"
    assert wishes.elsewhere("r", a_record(place="c guided waits"))
    assert not wishes.elsewhere("r", a_record(place="a guided waits"))


def test_those_who_are_wanted_here_stay_when_their_shard_goes() -> None:
    shards = a_group(FakeRedis()).config.shards
    shard = shard_of("by-hand", shards)
    wishes = wishes_with({"by-hand": Wish("a", "moved"), "away": Wish("b", "moved")}, a=7, b=8)
    holding = a_holding(shard)
    for child in ("by-hand", "plain", "guided"):
        a_child(holding, child)
    holding.children["guided"].record = a_record(place="a guided")
    assert wishes.staying(holding) == {"by-hand"}, "nobody has said that it was guided"
    holding.guide("guided")
    assert wishes.staying(holding) == {"by-hand", "guided"}
    assert list(wishes.concern(shard)) == ["by-hand"] or shard_of("away", shards) == shard


def test_after_a_failure_a_child_waits_unless_its_node_is_a_new_one_or_somebody_asks_again() -> None:
    wishes = wishes_with({}, a=7, b=8)
    assert wishes.may_go("r", "b", 0.0)
    wishes.put_off("r", "b", 15.0)
    assert not wishes.may_go("r", "b", 14.9) and wishes.may_go("r", "b", 15.0) and wishes.may_go("r", "a", 0.0)
    wishes.seen(nodes(a=7, b=9))
    assert wishes.may_go("r", "b", 0.0)
    wishes.put_off("r", "b", 15.0)
    asyncio.run(wishes.refresh(2))
    assert wishes.may_go("r", "b", 0.0)
    wishes.put_off("r", "b", 15.0)
    wishes.forget_put_offs()
    assert wishes.may_go("r", "b", 0.0)
