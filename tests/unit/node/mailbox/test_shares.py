"""The shards of a node are read in shares: which, and when one read names them all."""

from __future__ import annotations

import asyncio

import pytest

from hubq.node.mailbox.shares import BATCH, CALM, MOST, SHARE, Shares


def named(shares: Shares) -> list[tuple[int, ...]]:
    return [shares.of(number) for number in range(MOST)]


def divided(shards: int) -> Shares:
    shares = Shares()
    assert not shares.divide({*range(shards)})
    return shares


@pytest.mark.parametrize(
    ("shards", "used", "largest"), [(0, 0, 0), (1, 1, 1), (8, 1, 8), (9, 2, 8), (64, 8, 8), (256, 8, 32)]
)
def test_each_shard_is_in_one_share(shards: int, used: int, largest: int) -> None:
    parts = named(divided(shards))
    assert sorted(shard for part in parts for shard in part) == list(range(shards))
    assert sum(map(bool, parts)) == used and max(map(len, parts)) == largest


def test_a_shard_stays_in_its_share_while_others_come_and_go() -> None:
    shares = divided(20)
    assert not shares.divide({*range(4, 20), 30}), "whoever adds a shard wakes all reads"
    assert named(shares)[:3] == [(4, 5, 6, 7, 30), (*range(8, 16),), (16, 17, 18, 19)]
    assert not shares.divide({*range(4, 20), 30}), "nothing has changed"


def test_what_is_left_of_many_shares_is_put_together_and_that_is_told() -> None:
    shares = divided(64)
    assert not shares.divide({*range(0, 64, 2)}), "half of them: each share has four"
    assert shares.divide({0, 8, 16, 24})
    assert named(shares)[:2] == [(0, 8, 16, 24), ()]


def test_a_batch_has_one_read_name_all_shards_until_it_is_calm() -> None:
    shares = divided(20)
    shares.found(1, BATCH - 1)
    assert shares.of(0) and shares.of(1) == (*range(8, 16),)
    shares.found(1, BATCH)
    assert named(shares) == [(), (*range(20),), *[()] * (MOST - 2)]
    shares.found(0, 1)  # its read was under way still
    for _ in range(CALM - 1):
        shares.found(1, 0)
    shares.found(1, BATCH)
    for _ in range(CALM - 1):
        shares.found(1, 1)
    assert not shares.of(0), "the batch in between has begun the count anew"
    shares.found(1, 0)
    assert [len(part) for part in named(shares)[:3]] == [SHARE, SHARE, 4]


def test_a_batch_changes_nothing_where_one_share_has_all() -> None:
    shares = divided(SHARE)
    shares.found(0, 10 * BATCH)
    assert named(shares)[0] == (*range(SHARE),)
    shares.divide({*range(SHARE), 50})
    assert named(shares)[1] == (50,)


def test_a_shard_that_comes_during_a_batch_is_named_with_the_others() -> None:
    shares = divided(20)
    shares.found(2, BATCH)
    shares.divide({*range(21)})
    assert shares.of(2) == (*range(21),)


def test_a_share_without_shards_waits_until_it_has_some() -> None:
    async def scenario() -> None:
        shares = divided(SHARE)
        await asyncio.wait_for(shares.due(0), 5)
        waits = asyncio.create_task(shares.due(1))
        await asyncio.sleep(0)
        assert not waits.done()
        shares.divide({*range(SHARE + 1)})
        await asyncio.wait_for(waits, 5)

    asyncio.run(scenario())


def test_a_node_without_shards_waits_in_one_read_for_the_wake() -> None:
    shares = Shares()
    assert [shares.reads(number) for number in range(3)] == [True, False, False]
